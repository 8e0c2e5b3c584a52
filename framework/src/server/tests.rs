//! Deadlines, on connections without a socket, so that time can be paused.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use samspill_net::drain;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::server::NamedService;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;

use super::*;
use crate::call::Surroundings;

fn channel() -> (Arc<Drain>, DrainWatch) {
    let (drain, watch) = drain::channel();
    (Arc::new(drain), watch)
}

fn app(drain: &Arc<Drain>) -> App {
    app_with(GrpcServices::default(), drain)
}

fn app_of(router: Router) -> App {
    App::new(router.into(), GrpcServices::default(), false, Surroundings::default()).unwrap()
}

fn app_with(grpc: GrpcServices, drain: &Arc<Drain>) -> App {
    let router = Router::new().route("/", get(async || "Hello"));
    App::new(router.into(), grpc, false, Surroundings::default()).unwrap().draining_with(drain)
}

/// A served connection, seen by the client.
fn connect(drain: &Arc<Drain>) -> (DuplexStream, JoinHandle<()>) {
    connect_to(app(drain), drain)
}

fn connect_to(app: App, drain: &Arc<Drain>) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(64 * 1024);
    (client, task::spawn("connection", connection::serve(server, app, drain.watch())))
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
    let (drain, _watch) = channel();
    for beginning in ["GET / HTTP/1.1\r\nhost: te", "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /"] {
        let (mut client, serving) = connect(&drain);
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
    let (drain, _watch) = channel();
    let (client, serving) = connect(&drain);
    assert_eq!(rest(client).await, (String::new(), 10));
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_longer_than_a_minute() {
    let (drain, _watch) = channel();
    let (mut client, serving) = connect(&drain);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (answer, seconds) = rest(client).await;
    assert!(answer.ends_with("Hello"), "{answer}");
    assert_eq!(seconds, 75);
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_used_is_not_idle() {
    let late = async || {
        tokio::time::sleep(Duration::from_secs(100)).await;
        "late"
    };
    let slow = async || {
        let pieces = futures_util::stream::iter(["s", "l", "o", "w"]).then(async |piece| {
            tokio::time::sleep(Duration::from_secs(50)).await;
            Ok::<_, Infallible>(piece)
        });
        Body::from_stream(pieces)
    };
    let (drain, _watch) = channel();
    let app = app_of(Router::new().route("/late", get(late)).route("/slow", get(slow))).draining_with(&drain);
    for (path, answered_after) in [("/late", 100), ("/slow", 200)] {
        let (mut client, serving) = connect_to(app.clone(), &drain);
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (answer, seconds) = rest(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("connection: close"), "{answer}");
        assert!((answered_after + 75..=answered_after + 90).contains(&seconds), "{path}: {seconds}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_does_not_hold_up_the_drain() {
    let (drain, _watch) = channel();
    let (client, _serving) = connect(&drain);
    drain.start();
    assert_eq!(rest(client).await, (String::new(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_on_its_way_when_the_drain_started_is_answered() {
    let (drain, _watch) = channel();
    let (mut client, _serving) = connect(&drain);
    drain.start();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (answer, _seconds) = rest(client).await;
    assert!(answer.contains("connection: close") && answer.ends_with("Hello"), "{answer}");
}

#[tokio::test]
async fn it_is_ready_until_it_drains_and_lives_on() {
    let (drain, _watch) = channel();
    let app = app(&drain);
    let status = async |path| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        app.clone().answer(request).await.status()
    };
    assert_eq!((status("/readyz").await, status("/livez").await), (StatusCode::OK, StatusCode::OK));
    drain.start();
    assert_eq!((status("/readyz").await, status("/livez").await), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
}

/// A gRPC service that nobody calls.
#[derive(Clone)]
struct Idle;

impl NamedService for Idle {
    const NAME: &'static str = "test.v1.Idle";
}

impl tower::Service<Request<tonic::body::Body>> for Idle {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(tonic::Status::unimplemented("idle").into_http()))
    }
}

#[tokio::test]
async fn grpc_health_turns_with_readiness() {
    let (drain, _watch) = channel();
    let app = app_with(GrpcServices::default().add(Idle), &drain);
    let health = async || {
        // A frame without a message: the service is "".
        let question = Request::post("/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
        let answer = app.clone().answer(question.body(Body::from(vec![0; 5])).unwrap()).await;
        let frame = answer.into_body().collect().await.unwrap().to_bytes();
        HealthCheckResponse::decode(&frame[5..]).unwrap().status()
    };
    assert_eq!(health().await, ServingStatus::Serving);
    drain.start();
    assert_eq!(health().await, ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_whatever_is_left() {
    let (drain, watch) = channel();
    let (_sender, asked) = mpsc::unbounded_channel();
    let before = Instant::now();
    drain.start();
    finish(&drain, &mut Signals::Test(asked)).await;
    assert_eq!(before.elapsed().as_secs(), DRAIN_DEADLINE.as_secs());
    drop(watch);
}

/// What a request with this head and this beginning of a body is answered, and after how many seconds.
async fn unfinished(head: &str, pieces: &[(&str, u64)]) -> (String, u64) {
    let (drain, _watch) = channel();
    let read = post(async |body: axum::body::Bytes| body.len().to_string());
    let router = Router::new().route("/", read);
    let app = app_of(router).draining_with(&drain);
    let (mut client, _serving) = connect_to(app, &drain);
    let before = Instant::now();
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(client);
    let write = async {
        for &(piece, pause_seconds) in pieces {
            if writing.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(pause_seconds)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = String::new();
    tokio::select! {
        read = reading.read_to_string(&mut answer) => { read.unwrap(); }
        () = write => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(3600)) => panic!("the server waits for ever"),
    }
    (answer, before.elapsed().as_secs())
}

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";

fn check_408(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with(r#""detail":"The request's body came too slowly."}"#), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_says_nothing_for_too_long_is_answered_408() {
    for pieces in [&[][..], &[("x", 0)]] {
        let (answer, seconds) = unfinished(HEAD, pieces).await;
        check_408(&answer);
        assert_eq!(seconds, 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_answered_408() {
    let (answer, seconds) = unfinished(HEAD, &[("x", 10); 100]).await;
    check_408(&answer);
    assert_eq!(seconds, 30);
    // Each KiB buys a second.
    let kibibytes = "x".repeat(10 * 1024);
    let (answer, seconds) = unfinished(HEAD, &[(kibibytes.as_str(), 25), ("x", 25)]).await;
    check_408(&answer);
    assert_eq!(seconds, 40);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_keeps_the_pace_takes_as_long_as_it_needs() {
    let tenth = "x".repeat(10_000);
    let (answer, seconds) =
        unfinished(&HEAD.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"), &[(tenth.as_str(), 9); 10]).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("100000"), "{answer}");
    assert_eq!(seconds, 81);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_its_time_with_a_body() {
    let (drain, _watch) = channel();
    let slow = post(async |request: axum::extract::Request| {
        tokio::time::sleep(Duration::from_secs(600)).await;
        axum::body::to_bytes(request.into_body(), 100).await.unwrap().len().to_string()
    });
    let app = app_of(Router::new().route("/", slow));
    let (mut client, _serving) = connect_to(app.draining_with(&drain), &drain);
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nx").await.unwrap();
    tokio::time::sleep(Duration::from_secs(610)).await;
    client.write_all(b"x").await.unwrap();
    let (answer, _seconds) = rest(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n2"), "{answer}");
}

/// What is answered to a request with this timeout, and after how many milliseconds.
async fn ask_in_time(path: &str, timeout: &str) -> (u16, String, u128) {
    let (drain, _watch) = channel();
    let forever = get(async || std::future::pending::<&str>().await);
    let stream = get(async || {
        let later = futures_util::stream::once(async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok::<_, std::io::Error>("streamed")
        });
        Body::from_stream(later)
    });
    let router = Router::new().route("/forever", forever).route("/stream", stream);
    let app = app_of(router).draining_with(&drain);
    let request = Request::get(path).header("samspill-timeout", timeout).body(Body::empty()).unwrap();
    let before = Instant::now();
    let answer = app.answer(request).await;
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), before.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_cut_at_the_deadline() {
    let (status, body, millis) = ask_in_time("/forever", "1500m").await;
    assert_eq!((status, millis / 10), (504, 150));
    assert!(body.contains("The caller's deadline passed before there was an answer."), "{body}");
    let (status, body, millis) = ask_in_time("/forever", "0m").await;
    assert_eq!((status, millis), (504, 0));
    assert!(body.contains("had passed when the request arrived"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn an_http_answer_that_began_in_time_goes_on() {
    let (status, body, millis) = ask_in_time("/stream", "1S").await;
    assert_eq!((status, body.as_str(), millis / 10), (200, "streamed", 500));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_timeout_is_refused_by_name() {
    for timeout in ["soon", "1.5S", "123456789m", "-1S"] {
        let (status, body, _) = ask_in_time("/forever", timeout).await;
        assert_eq!(status, 400, "{timeout}");
        assert!(body.contains(r#""field":"samspill-timeout""#), "{body}");
    }
}
