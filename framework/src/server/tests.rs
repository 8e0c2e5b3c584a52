//! Deadlines, on connections without a socket, so that time can be paused.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::service::Routes;

use super::*;
use crate::call::Surroundings;

fn app(watch: &DrainWatch) -> App {
    let router = Router::new().route("/", get(async || "Hello"));
    App::new(router.into(), Routes::default(), Surroundings::default()).draining_with(watch)
}

/// A served connection, seen by the client.
fn connect(watch: &DrainWatch) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(64 * 1024);
    (client, task::spawn("connection", connection::serve(server, app(watch), watch.clone())))
}

/// What comes until the server closes, and after how many seconds it did.
async fn rest(mut client: DuplexStream) -> (String, u64) {
    let before = Instant::now();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    (answer, before.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_answered_408() {
    let (_drain, watch) = drain::channel();
    for beginning in ["GET / HTTP/1.1\r\nhost: te", "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /"] {
        let (mut client, serving) = connect(&watch);
        client.write_all(beginning.as_bytes()).await.unwrap();
        let (answer, seconds) = rest(client).await;
        let last = answer.rsplit("HTTP/1.1 ").next().unwrap();
        assert!(last.starts_with("408 ") && last.contains("application/problem+json"), "{answer}");
        assert_eq!(seconds, 10);
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_disconnected() {
    let (_drain, watch) = drain::channel();
    let (client, serving) = connect(&watch);
    assert_eq!(rest(client).await, (String::new(), 10));
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_longer_than_a_minute() {
    let (_drain, watch) = drain::channel();
    let (mut client, serving) = connect(&watch);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (answer, seconds) = rest(client).await;
    assert!(answer.ends_with("Hello"), "{answer}");
    assert_eq!(seconds, 75);
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_does_not_hold_up_the_drain() {
    let (drain, watch) = drain::channel();
    let (client, _serving) = connect(&watch);
    drain.start();
    assert_eq!(rest(client).await, (String::new(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_on_its_way_when_the_drain_started_is_answered() {
    let (drain, watch) = drain::channel();
    let (mut client, _serving) = connect(&watch);
    drain.start();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (answer, _seconds) = rest(client).await;
    assert!(answer.contains("connection: close") && answer.ends_with("Hello"), "{answer}");
}

#[tokio::test]
async fn it_is_ready_until_it_drains_and_lives_on() {
    let (drain, watch) = drain::channel();
    let app = app(&watch);
    let status = async |path| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        app.clone().answer(request).await.status()
    };
    assert_eq!((status("/readyz").await, status("/livez").await), (StatusCode::OK, StatusCode::OK));
    drain.start();
    assert_eq!((status("/readyz").await, status("/livez").await), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_whatever_is_left() {
    let (drain, watch) = drain::channel();
    let (_sender, asked) = mpsc::unbounded_channel();
    let before = Instant::now();
    drain.start();
    finish(&drain, &mut Signals::Test(asked)).await;
    assert_eq!(before.elapsed().as_secs(), DRAIN_DEADLINE.as_secs());
    drop(watch);
}
