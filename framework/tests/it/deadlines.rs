//! One deadline through all hops, and an end to what nobody waits for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use samspill::{Call, CallError, Priority, Problem, test};
use samspill_net::Listener;
use tonic::Code;

use crate::greeter::{GreeterServer, greet};
use crate::support::{connect, drop_signal, raw_rpc, say};

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
async fn a_call_that_is_too_late_is_not_sent() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().to_string();
    let call = test::call().with_timeout(Duration::ZERO);
    let error = test::service("test", []).client(&address).get(&call, "/").send().await.unwrap_err();
    assert!(matches!(error, CallError::Deadline { .. }), "{error:?}");
    let status = greet(&test::service("test", []).channel(&address), &call, GREET, "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Nobody has come before this one.
    let first = connect(listener.local_addr()).await;
    assert_eq!(listener.accept().await.1, first.local_addr().unwrap());
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

#[tokio::test]
async fn grpc_servers_say_deadline_exceeded() {
    let server = test::Server::start(test::service("test", []).grpc(GreeterServer), Router::new()).await;
    let status = async |path, timeout, name| raw_rpc(&server, path, &[("grpc-timeout", timeout)], name).await;
    assert_eq!(status(GREET, "50m", "forever").await, "4");
    assert_eq!(status(GREET, "0n", "Ada").await, "4");
    assert_eq!(status("/test.v1.Greeter/Count", "50m", "forever").await, "4");
    for malformed in ["", "soon", "123456789m", "-5S"] {
        assert_eq!(status(GREET, malformed, "Ada").await, "3", "{malformed}");
    }
    assert_eq!(status(GREET, "60S", "Ada").await, "0");
    server.stop().await;
}

#[tokio::test]
async fn grpc_callers_see_deadline_exceeded() {
    let server = test::Server::start(test::service("test", []).grpc(GreeterServer), Router::new()).await;
    let call = test::call().with_timeout(BRIEF);
    let status = greet(&server.channel(), &call, GREET, "forever").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    server.stop().await;
}
