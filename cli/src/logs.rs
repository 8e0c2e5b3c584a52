//! `samspill logs`.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use samspill_runtime::api::InstanceView;
use tokio::sync::mpsc;

use crate::args::Logs;
use crate::client::{Client, Refusal, Server, block_on, refused, segment};
use crate::exit::{Exit, Failure};
use crate::output::print;

/// Lines that wait for a slow terminal.
const WAITING_LINES: usize = 256;

pub(crate) fn logs(args: &Logs) -> Result<Exit, Failure> {
    block_on(async {
        let client = Client::new(&args.state.state_dir);
        match open(client, &args.name, args).await? {
            Ok(body) => show(vec![(String::new(), body)]).await?,
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => show_service(client, args, refusal).await?,
            Err(refusal) => return Err(refused(refusal)),
        }
        Ok(Exit::Success)
    })
}

async fn open(client: Client<'_>, name: &str, args: &Logs) -> Result<Result<Incoming, Refusal>, Failure> {
    let mut path = format!("/v1/logs/{}?follow={}", segment(name), args.follow);
    if let Some(tail) = args.tail {
        path.push_str(&format!("&tail={tail}"));
    }
    client.open(Server::Runtime, Method::GET, &path, Bytes::new()).await
}

/// The logs of all instances of a service, each line with the instance's name before it.
async fn show_service(client: Client<'_>, args: &Logs, refusal: Refusal) -> Result<(), Failure> {
    let instances: Vec<InstanceView> = client.get(Server::Runtime, "/v1/instances").await?;
    let mut bodies = Vec::new();
    for instance in instances.into_iter().filter(|instance| instance.service == args.name) {
        let body = open(client, &instance.instance, args).await?.map_err(refused)?;
        bodies.push((format!("{} | ", instance.instance), body));
    }
    if bodies.is_empty() {
        return Err(refused(refusal));
    }
    show(bodies).await
}

/// Prints whole lines of all bodies as they come.
async fn show(bodies: Vec<(String, Incoming)>) -> Result<(), Failure> {
    let (sender, mut lines) = mpsc::channel(WAITING_LINES);
    for (prefix, body) in bodies {
        samspill_net::task::spawn("log", forward(prefix, body, sender.clone()));
    }
    drop(sender);
    while let Some(text) = lines.recv().await {
        print(&text)?;
    }
    Ok(())
}

async fn forward(prefix: String, mut body: Incoming, sender: mpsc::Sender<String>) {
    let mut partial = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        partial.extend_from_slice(&data);
        let Some(end) = partial.iter().rposition(|byte| *byte == b'\n') else { continue };
        let rest = partial.split_off(end + 1);
        let whole = std::mem::replace(&mut partial, rest);
        if sender.send(prefixed(&prefix, &whole)).await.is_err() {
            return;
        }
    }
    if !partial.is_empty() {
        // Nobody reads any more, or this was the last line.
        let _ = sender.send(prefixed(&prefix, &partial)).await;
    }
}

fn prefixed(prefix: &str, lines: &[u8]) -> String {
    String::from_utf8_lossy(lines).lines().map(|line| format!("{prefix}{line}\n")).collect()
}
