//! Ports, health and the drain.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use samspill::{Call, CallError, test};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use crate::support::{GENEROUS, connect, parts, rest, say};

#[tokio::test]
async fn health_is_answered_without_the_service() {
    let server = test::Server::start(test::service("test", []), Router::new()).await;
    for path in ["/livez", "/readyz", "/startupz"] {
        let answer = server.client().get(&test::call(), path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    server.stop().await;
}

/// A handler that says when it has begun, and waits to be let go.
#[derive(Clone)]
struct Slow {
    begun: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), may_end: Arc::new(Semaphore::new(0)) }
    }

    fn router(&self) -> Router {
        let slow = self.clone();
        Router::new().route(
            "/slow",
            get(async move || {
                slow.begun.add_permits(1);
                slow.may_end.acquire().await.unwrap().forget();
                "done"
            }),
        )
    }

    async fn has_begun(&self) {
        tokio::time::timeout(GENEROUS, self.begun.acquire()).await.unwrap().unwrap().forget();
    }
}

#[tokio::test]
async fn a_drain_finishes_what_is_begun_and_refuses_what_is_new() {
    let slow = Slow::new();
    let server = test::Server::start(test::service("test", []), slow.router()).await;
    let address = server.address();

    let mut busy = connect(address).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    slow.has_begun().await;
    let mut idle = connect(address).await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut idle = BufReader::new(idle);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        idle.read_line(&mut line).await.unwrap();
    }

    server.drain();
    // An idle connection is closed at once ...
    assert_eq!(idle.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    // ... the listener is gone, so that a sidecar knows at once ...
    let refused = samspill_net::connect::tcp(address, GENEROUS).await;
    assert!(refused.is_err(), "{refused:?}");
    // ... and what is begun is answered, on a connection that ends with it.
    slow.may_end.add_permits(1);
    let answer = rest(busy).await;
    let (head, body) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("connection: close"), "{head}");
    assert_eq!(body, "done");
    tokio::time::timeout(GENEROUS, server.stop()).await.unwrap();
}

#[tokio::test]
async fn a_stream_without_an_end_can_end_itself_when_the_drain_starts() {
    let begun = Arc::new(Semaphore::new(0));
    let start = Arc::clone(&begun);
    let watch = async move |call: Call| {
        start.add_permits(1);
        call.draining().await;
        "ended"
    };
    let server = test::Server::start(test::service("test", []), Router::new().route("/watch", get(watch))).await;
    let mut stream = connect(server.address()).await;
    stream.write_all(b"GET /watch HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    begun.acquire().await.unwrap().forget();
    server.drain();
    let answer = rest(stream).await;
    assert!(answer.contains("connection: close") && answer.ends_with("ended"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn asked_twice_it_stops_at_once() {
    let slow = Slow::new();
    let server = test::Server::start(test::service("test", []), slow.router()).await;
    let client = server.client();
    let call = test::call();
    let request = client.get(&call, "/slow").send();
    let stop = async {
        slow.has_begun().await;
        server.drain();
        server.stop().await;
    };
    // The request is never let go: only the second signal can end this.
    let (never_answered, ()) = tokio::time::timeout(GENEROUS, async {
        tokio::select! {
            answer = request => (Some(answer), ()),
            () = stop => (None, ()),
        }
    })
    .await
    .unwrap();
    assert!(never_answered.is_none_or(|answer| matches!(answer, Err(CallError::Broken { .. }))));
}

#[tokio::test]
async fn both_versions_of_http_are_told_apart() {
    let version = async |request: axum::extract::Request| format!("{:?}", request.version());
    let server = test::Server::start(test::service("test", []), Router::new().route("/", get(version))).await;
    let answer = say(server.address(), b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("HTTP/1.1"), "{answer}");

    let stream = hyper_util::rt::TokioIo::new(connect(server.address()).await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    let driving = samspill_net::task::spawn("connection", connection);
    let request = http::Request::get(server.url("/")).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(answer).await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0");
    drop(sender);
    driving.await.unwrap().unwrap();
    server.stop().await;
}
