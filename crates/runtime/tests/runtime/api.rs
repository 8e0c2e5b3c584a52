//! What the command line is told.

use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use samspill_runtime::api::{InstanceView, StatusView};
use samspill_runtime::state;
use tokio::net::UnixStream;

use crate::mesh::{Mesh, workload};

async fn answer(mesh: &Mesh, method: Method, path: &str) -> http::Response<Incoming> {
    ask(&mesh.state_dir(), method, path).await
}

/// Has the runtime that uses a state folder end.
pub(crate) async fn down(state_dir: &Path) {
    assert_eq!(ask(state_dir, Method::POST, "/v1/down").await.status(), StatusCode::ACCEPTED);
}

async fn ask(state_dir: &Path, method: Method, path: &str) -> http::Response<Incoming> {
    let stream = UnixStream::connect(state::api_socket(state_dir)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    samspill_net::task::spawn("connection", connection);
    let request = Request::builder().method(method).uri(path).header("host", "runtime").body(Empty::<Bytes>::new());
    sender.send_request(request.unwrap()).await.unwrap()
}

async fn get(mesh: &Mesh, path: &str) -> (StatusCode, Bytes) {
    let answer = answer(mesh, Method::GET, path).await;
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn instances_and_status_say_what_runs() {
    let mut mesh = Mesh::serving(&[workload("a", crate::mesh::IDLE)]).await;
    let status = mesh.until(samspill_runtime::Status::is_ready).await;
    let known = status.instances.values().next().unwrap();

    let (_, body) = get(&mesh, "/v1/instances").await;
    let instances = serde_json::from_slice::<Vec<InstanceView>>(&body).unwrap();
    assert_eq!(instances, [InstanceView::from(known)]);
    assert_eq!((&*instances[0].service, &*instances[0].instance, instances[0].ready), ("a", "a-0", true));
    assert_eq!(instances[0].address, Some(known.instance.ports[&8080].app));

    let (_, body) = get(&mesh, "/v1/status").await;
    let view = serde_json::from_slice::<StatusView>(&body).unwrap();
    assert_eq!(view, StatusView::from(&status));
    assert!(view.ready && view.controller_pid.is_some() && view.edge.unwrap().ready);
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let script = "echo one; echo two; echo three >&2; read line < $SAMSPILL_DATA_DIR/pipe; echo $line; exec sleep 1000";
    let mut mesh = Mesh::start(&[]).await;
    let data = mesh.state_dir().join("data/a");
    std::fs::create_dir_all(&data).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, data.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    mesh.line.plan(1, &[workload("a", script)], samspill_model::plan::InstanceState::Serve).await;
    mesh.ready("a-0").await;
    samspill_testkit::wait_until("three lines are there", async || {
        get(&mesh, "/v1/logs/a-0").await.1.iter().filter(|&&byte| byte == b'\n').count() == 3
    })
    .await;
    let (_, tail) = get(&mesh, "/v1/logs/a-0?tail=1").await;
    assert!(["two\n", "three\n"].contains(&str::from_utf8(&tail).unwrap()), "{tail:?}");

    let mut following = answer(&mesh, Method::GET, "/v1/logs/a-0?follow=true&tail=0").await.into_body();
    std::fs::write(data.join("pipe"), "four\n").unwrap();
    let line = following.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(line, "four\n");

    let (status, sentence) = get(&mesh, "/v1/logs/b-0").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(sentence, "nothing called `b-0` has been started; there are: a-0, a-0.sidecar, controller, edge\n");
}

#[tokio::test]
async fn it_is_asked_to_drain_and_ends() {
    let mut mesh = Mesh::serving(&[workload("a", crate::mesh::IDLE)]).await;
    mesh.ready("a-0").await;
    down(&mesh.state_dir()).await;
    (&mut mesh.ended).await.unwrap().unwrap();
    assert_eq!(mesh.journal().last().map(String::as_str), Some("a-0: SIGTERM"));
}

#[tokio::test]
async fn an_unknown_trace_is_told_in_words() {
    let mesh = Mesh::start(&[]).await;
    let (status, sentence) = get(&mesh, "/v1/traces/abc").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(sentence, "no trace begins with `abc`; the newest 1,000 are kept, in memory\n");
    assert_eq!(get(&mesh, "/v1/traces").await, (StatusCode::OK, Bytes::from("[]")));
}
