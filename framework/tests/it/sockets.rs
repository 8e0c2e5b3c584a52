//! WebSockets on our server. The client's side is written out, byte by byte: RFC 6455 §1.3 and §5.7.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use axum::routing::get;
use samspill::socket::Upgrade;
use samspill::{Call, test};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{GENEROUS, connect, parts, say};

const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Says everything again, and `bye` when the service drains.
async fn echo(call: Call, Upgrade(upgrade): Upgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        loop {
            tokio::select! {
                message = socket.recv() => match message {
                    Some(Ok(message)) => socket.send(message).await.unwrap(),
                    _ => return,
                },
                () = call.draining() => {
                    socket.send(Message::text("bye")).await.unwrap();
                    return;
                }
            }
        }
    })
}

/// Watches nothing.
async fn deaf(Upgrade(upgrade): Upgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| while socket.recv().await.is_some_and(|read| read.is_ok()) {})
}

fn router() -> Router {
    Router::new().route("/echo", get(echo)).route("/deaf", get(deaf))
}

/// A text of at most 125 bytes, masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

async fn read_text(stream: &mut TcpStream) -> String {
    let mut head = [0; 2];
    tokio::time::timeout(GENEROUS, stream.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(head[0], 0x81, "a text in one frame");
    let mut text = vec![0; head[1].into()];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// The rest, which is an end: nothing more comes.
async fn read_end(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _reset_or_closed = tokio::time::timeout(GENEROUS, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

async fn open(server: &test::Server, path: &str) -> TcpStream {
    let mut stream = connect(server.address()).await;
    stream.write_all(HANDSHAKE.replace("/echo", path).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(GENEROUS, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}

#[tokio::test]
async fn a_socket_is_opened_and_told_of_the_drain() {
    let server = test::Server::start(test::service("test", []), router()).await;
    let mut stream = open(&server, "/echo").await;
    // What would be a malformed head passes: it is no head.
    for text in ["hello", "a\nb\r\n\r\n", ""] {
        stream.write_all(&frame(text)).await.unwrap();
        assert_eq!(read_text(&mut stream).await, text);
    }
    server.drain();
    assert_eq!(read_text(&mut stream).await, "bye");
    read_end(stream).await;
    tokio::time::timeout(GENEROUS, server.stop()).await.unwrap();
}

#[tokio::test]
async fn a_socket_keeps_the_drain_waiting_and_is_cut_at_its_end() {
    let server = test::Server::start(test::service("test", []), router()).await;
    let mut deaf = open(&server, "/deaf").await;
    let mut polite = open(&server, "/echo").await;
    server.drain();
    assert_eq!(read_text(&mut polite).await, "bye");
    read_end(polite).await;
    // The drain has started, and the other socket is as it was.
    deaf.write_all(&frame("hello")).await.unwrap();
    let read = deaf.try_read(&mut [0]);
    assert!(read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{read:?}");
    // Asked twice, it cuts what is left.
    tokio::time::timeout(GENEROUS, server.stop()).await.unwrap();
    read_end(deaf).await;
}

#[tokio::test]
async fn what_follows_a_handshake_is_no_request() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let other = get(async move || count.fetch_add(1, Ordering::Relaxed).to_string());
    let server = test::Server::start(test::service("test", []), router().route("/other", other)).await;
    let request = "GET /other HTTP/1.1\r\nhost: test\r\n\r\n";
    let answer = say(server.address(), (HANDSHAKE.to_owned() + request).as_bytes()).await;
    let (head, rest) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 101 ") && !rest.contains("HTTP"), "{answer}");
    // Where no socket is opened, the connection ends.
    let refused = HANDSHAKE.replace("version: 13", "version: 8") + request;
    let answer = say(server.address(), refused.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_handshake_is_a_problem() {
    let server = test::Server::start(test::service("test", []), router()).await;
    for (removed, instead, status) in [
        ("upgrade: websocket\r\n", "", 400),
        ("connection: keep-alive, Upgrade\r\n", "", 400),
        ("sec-websocket-version: 13\r\n", "sec-websocket-version: 8\r\n", 400),
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
    ] {
        let request = HANDSHAKE.replace(removed, instead).replace("host: test", "host: test\r\nconnection: close");
        let answer = say(server.address(), request.as_bytes()).await;
        let (head, body) = parts(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{removed}: {answer}");
        assert!(head.contains("application/problem+json") && body.contains("This is a WebSocket"), "{answer}");
    }
    server.stop().await;
}
