//! One deadline through all hops, and an end to what nobody waits for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use samspill::{Call, CallError, Priority, Problem, test};
use samspill_net::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::greeter::{GreeterServer, count, greet};
use crate::support::{drop_signal, http2, say};

/// Shorter than anything that is asked for here takes.
const BRIEF: Duration = Duration::from_millis(50);

const GREET: &str = "/test.v1.Greeter/Greet";

/// The part of a deadline that a header says is left: microseconds.
fn micros(header: &str) -> u64 {
    header.strip_suffix('u').unwrap_or_else(|| panic!("not in microseconds: {header}")).parse().unwrap()
}

#[tokio::test]
async fn what_is_left_goes_on_to_the_next_hop() {
    let heard = async |headers: HeaderMap| {
        let word = |name| headers.get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
        format!("{} {}", word("samspill-timeout"), word("samspill-priority"))
    };
    let far = test::Server::start(test::service("far", []), Router::new().route("/", get(heard))).await;
    let client = far.client();
    let relay = async move |call: Call| -> Result<String, Problem> {
        assert_eq!(call.priority(), Priority::Background);
        Ok(client.get(&call, "/").send().await?.text().await?)
    };
    let near = test::Server::start(test::service("near", []), Router::new().route("/", get(relay))).await;
    let call = test::call();
    let request = near.client().get(&call, "/").header("samspill-priority", "background");
    let answer = request.header("samspill-timeout", "60S").send().await.unwrap().text().await.unwrap();
    let (left, priority) = answer.split_once(' ').unwrap();
    assert!((1..60_000_000).contains(&micros(left)), "{left}");
    assert_eq!(priority, "background");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn the_same_over_grpc() {
    let server = test::Server::start(test::service("test", []).grpc(GreeterServer), Router::new()).await;
    let channel = server.channel();
    assert_eq!(greet(&channel, &test::call(), GREET, "timeout").await.unwrap(), "None");
    let call = test::call().with_timeout(Duration::from_secs(60));
    let answer = greet(&channel, &call, GREET, "timeout").await.unwrap();
    let left = answer.strip_prefix("Some(\"").and_then(|text| text.strip_suffix("\")")).unwrap();
    assert!((1..60_000_000).contains(&micros(left)), "{left}");
    server.stop().await;
}

#[tokio::test]
async fn a_call_is_given_up_at_the_deadline() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().to_string();
    let client = test::service("test", []).client(address.clone());
    let call = test::call().with_timeout(BRIEF);
    // Nobody answers: the kernel has let the connection in, and that is all.
    let error = client.get(&call, "/").send().await.unwrap_err();
    assert!(matches!(&error, CallError::Deadline { service } if *service == address), "{error:?}");
    assert_eq!(Problem::from(error).status(), StatusCode::GATEWAY_TIMEOUT);

    let channel = test::service("test", []).channel(address);
    let status = greet(&channel, &test::call().with_timeout(BRIEF), GREET, "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(Problem::from(status).status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up_too() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let client = test::service("test", []).client(listener.local_addr().to_string());
    for (status, is_sent) in [("200 OK", true), ("404 Not Found", false)] {
        let call = test::call().with_timeout(BRIEF);
        let answer = async {
            let (mut stream, _peer) = listener.accept().await;
            stream.read_u8().await.unwrap();
            let half = format!("HTTP/1.1 {status}\r\ncontent-length: 10\r\n\r\nhalf");
            stream.write_all(half.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let request = async {
            match client.get(&call, "/").send().await {
                Ok(answer) => (true, answer.text().await.unwrap_err()),
                Err(error) => (false, error),
            }
        };
        let (had_head, error) = tokio::select! {
            outcome = request => outcome,
            () = answer => unreachable!(),
        };
        assert!(matches!(error, CallError::Deadline { .. }), "{error:?}");
        assert_eq!(had_head, is_sent, "{status}");
    }
}

#[tokio::test]
async fn a_call_that_is_too_late_is_not_sent() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let closed = listener.local_addr().to_string();
    drop(listener);
    let call = test::call().with_timeout(Duration::ZERO);
    // To try would be to find out that nobody is there.
    let error = test::service("test", []).client(&closed).get(&call, "/").send().await.unwrap_err();
    assert!(matches!(error, CallError::Deadline { .. }), "{error:?}");
    let status = greet(&test::service("test", []).channel(&closed), &call, GREET, "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_handler_is_dropped_at_its_deadline_and_answered_for() {
    let (held, dropped) = drop_signal();
    let held = Arc::new(Mutex::new(Some(held)));
    let forever = async move || {
        let _held = held.lock().unwrap().take();
        std::future::pending::<&str>().await
    };
    let router = Router::new().route("/", get(forever));
    let server = test::Server::start(test::service("test", []), router).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nsamspill-timeout: 50m\r\n\r\n";
    let answer = say(server.address(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("application/problem+json"), "{answer}");
    dropped.await;
    server.stop().await;
}

/// A gRPC answer as it is on the wire: `grpc-status`, and how many bytes came before it.
async fn raw_rpc(server: &test::Server, path: &str, timeout: &str, name: &str) -> (String, usize) {
    let (mut sender, driving) = http2(server.address()).await;
    let mut message = vec![0, 0, 0, 0, u8::try_from(name.len() + 2).unwrap(), 10, u8::try_from(name.len()).unwrap()];
    message.extend_from_slice(name.as_bytes());
    let request = Request::post(server.url(path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(Full::new(Bytes::from(message)))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let head = answer.headers().clone();
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or(head);
    drop(sender);
    driving.await.unwrap().unwrap();
    (trailers["grpc-status"].to_str().unwrap().to_owned(), body.to_bytes().len())
}

#[tokio::test]
async fn grpc_servers_say_deadline_exceeded() {
    let server = test::Server::start(test::service("test", []).grpc(GreeterServer), Router::new()).await;
    let exceeded = ("4".to_owned(), 0);
    assert_eq!(raw_rpc(&server, GREET, "50m", "forever").await, exceeded);
    assert_eq!(raw_rpc(&server, GREET, "0n", "Ada").await, exceeded);
    // A stream, in its trailers, after what was sent in time.
    assert_eq!(raw_rpc(&server, "/test.v1.Greeter/Count", "50m", "forever").await, ("4".to_owned(), 10));
    for malformed in ["", "soon", "123456789m", "-5S"] {
        assert_eq!(raw_rpc(&server, GREET, malformed, "Ada").await, ("3".to_owned(), 0), "{malformed}");
    }
    let (status, bytes) = raw_rpc(&server, GREET, "60S", "Ada").await;
    assert!(status == "0" && bytes > 0);
    server.stop().await;
}

#[tokio::test]
async fn grpc_callers_see_deadline_exceeded() {
    let server = test::Server::start(test::service("test", []).grpc(GreeterServer), Router::new()).await;
    let call = test::call().with_timeout(BRIEF);
    let status = greet(&server.channel(), &call, GREET, "forever").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let call = test::call().with_timeout(Duration::from_secs(1));
    let words: Vec<_> = count(&server.channel(), &call, "forever").await.take(2).collect().await;
    let words: Vec<_> = words.into_iter().map(|word| word.map_err(|status| status.code())).collect();
    assert_eq!(words, [Ok("one".to_owned()), Err(Code::DeadlineExceeded)]);
    server.stop().await;
}
