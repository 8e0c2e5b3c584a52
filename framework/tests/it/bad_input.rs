//! Every bad input has its 4xx, costs no memory, and harms no request after it, on this connection or another.
//!
//! Slow ones are in `framework/src/server/tests.rs`, where time can be paused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt;
use samspill::extract::Json;
use samspill::test;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{GENEROUS, connect};

/// What our server takes of a body.
const LIMIT_BYTES: usize = 2 * 1024 * 1024;

#[derive(Deserialize, Serialize)]
struct Ask {
    grams: u32,
    #[serde(default)]
    labels: HashMap<String, u32>,
}

/// A server, and how many bytes of bodies have been taken off its connections.
async fn server() -> (test::Server, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let count = map_request(move |request: Request| {
        let seen = Arc::clone(&counter);
        async move {
            request.map(|body| {
                Body::new(body.inspect_frame(move |frame| {
                    seen.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
                }))
            })
        }
    });
    let router = Router::new()
        .route("/json", post(async |Json(ask): Json<Ask>| ask.labels.len().to_string()))
        .route("/any", post(async |Json(_any): Json<Value>| "any"))
        .route("/ok", get(async || "ok"))
        .layer(count);
    (test::Server::start(test::service("test", []), router).await, seen)
}

/// One connection, on which one request follows another.
struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address).await))
    }

    /// Sends pieces until all are sent or the server wants no more, and reads one answer meanwhile.
    async fn ask(&mut self, pieces: impl Iterator<Item = Vec<u8>>) -> Answer {
        let (reading, mut writing) = tokio::io::split(&mut self.0);
        let mut reading = BufReader::new(reading);
        let write = async {
            for piece in pieces {
                if writing.write_all(&piece).await.is_err() || writing.flush().await.is_err() {
                    break; // it has answered, and closed
                }
            }
            std::future::pending::<()>().await;
        };
        let read = async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(reading.read_line(&mut head).await.unwrap(), 0, "closed: {head}");
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            reading.read_exact(&mut body).await.unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            Answer { status, head, body: String::from_utf8(body).unwrap() }
        };
        let answer = async {
            tokio::select! {
                answer = read => answer,
                () = write => unreachable!(),
            }
        };
        tokio::time::timeout(GENEROUS, answer).await.unwrap()
    }

    async fn is_unharmed(&mut self) {
        let answer = self.ask([b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()].into_iter()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{}", answer.head);
    }
}

/// Asks on a connection that has been used; afterwards that one, if it lives on, and another are as they were.
async fn check(address: SocketAddr, pieces: impl Iterator<Item = Vec<u8>>, status: u16, words: &str) {
    let mut connection = Connection::open(address).await;
    let mut other = Connection::open(address).await;
    connection.is_unharmed().await;
    let answer = connection.ask(pieces).await;
    assert_eq!(answer.status, status, "{words}: {}{}", answer.head, answer.body);
    assert!(answer.head.contains("application/problem+json"), "{words}: {}", answer.head);
    assert!(answer.body.contains(words), "{words}: {}", answer.body);
    // What is left of a giant is not read, so its connection ends, and says so or not.
    if !answer.head.contains("connection: close") && !matches!(status, 413 | 414 | 431) {
        connection.is_unharmed().await;
    }
    other.is_unharmed().await;
    Connection::open(address).await.is_unharmed().await;
}

fn json(path: &str, body: &[u8]) -> std::iter::Once<Vec<u8>> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    std::iter::once([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn json_of_two_meanings_or_none_is_refused() {
    let (server, _seen) = server().await;
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    for path in ["/json", "/any"] {
        for (body, status, words) in [
            (format!(r#"{{"grams":1,"x":{}}}"#, deep("[", "]")), 400, "recursion limit exceeded"),
            (deep(r#"{"grams":"#, "}"), 400, "recursion limit exceeded"),
            ("[".repeat(10_000), 400, "recursion limit exceeded"),
            (r#"{"grams":NaN}"#.to_owned(), 400, "the JSON breaks here"),
            (r#"{"grams":1,"x":NaN}"#.to_owned(), 400, r#""field":"x""#),
            (r#"{"grams":-Infinity}"#.to_owned(), 400, "invalid number"),
            (r#"{"grams":1,"grams":2}"#.to_owned(), 422, r#""field":"grams","detail":"is there twice""#),
            (
                r#"{"grams":1,"labels":{"a":1,"a":2}}"#.to_owned(),
                422,
                r#""field":"labels.a","detail":"is there twice""#,
            ),
            (
                r#"{"grams":1,"x":[{"a":1,"\u0061":2}]}"#.to_owned(),
                422,
                r#""field":"x[0].a","detail":"is there twice""#,
            ),
        ] {
            check(server.address(), json(path, body.as_bytes()), status, words).await;
        }
        let invalid = json(path, b"{\"grams\":1,\"x\":\"\xc3\x28\"}");
        check(server.address(), invalid, 400, "It is not UTF-8 after byte 16.").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_giant_head_is_refused() {
    let (server, _seen) = server().await;
    let kib64 = "x".repeat(64 * 1024);
    let lines = "a: b\r\n".repeat(101);
    for (request, status) in [
        (format!("GET /ok HTTP/1.1\r\nhost: a\r\ncookie: {kib64}\r\n\r\n"), 431),
        (format!("GET /ok HTTP/1.1\r\nhost: a\r\n{lines}\r\n"), 431),
        (format!("GET /{kib64} HTTP/1.1\r\nhost: a\r\n\r\n"), 414),
    ] {
        check(server.address(), std::iter::once(request.into_bytes()), status, "\"status\":4").await;
    }
    // One that never ends is not waited for.
    let endless = std::iter::once(b"GET /ok HTTP/1.1\r\nhost: a\r\ncookie: ".to_vec());
    check(server.address(), endless.chain(std::iter::repeat_n(vec![b'x'; 4096], 10_000)), 431, "too large").await;
    server.stop().await;
}

#[tokio::test]
async fn a_giant_body_is_refused_before_it_is_read() {
    let (server, seen) = server().await;
    let piece = vec![b'x'; 64 * 1024];
    let pieces = 1024; // 64 MiB
    let head = "POST /json HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let long = std::iter::once(format!("{head}content-length: {}\r\n\r\n", piece.len() * pieces).into_bytes());
    check(server.address(), long.chain(std::iter::repeat_n(piece.clone(), pieces)), 413, "Too Large").await;
    // What says that it is too long is not even begun.
    assert_eq!(seen.load(Ordering::Relaxed), 0);

    let chunk = [b"10000\r\n", &piece[..], b"\r\n"].concat();
    let chunked = std::iter::once(format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes());
    check(server.address(), chunked.chain(std::iter::repeat_n(chunk, pieces)), 413, "Too Large").await;
    let taken = seen.load(Ordering::Relaxed);
    assert!((LIMIT_BYTES..LIMIT_BYTES + 1024 * 1024).contains(&taken), "{taken}");
    server.stop().await;
}
