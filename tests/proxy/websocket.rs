//! WebSockets: a handshake goes through as a request does, and what follows it as it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use samspill_model::intent::AppProtocol;
use samspill_testkit::wait_until;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::App;
use super::call::{HTTP1, connect};
use super::peer::{Peer, read_request};
use super::sidecar::{Sidecar, request};
use super::world::{World, issue};
use crate::web;

/// Far longer than anything here takes.
const GENEROUS: Duration = Duration::from_secs(30);

const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nhost: invoicing\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An app that remembers the heads that it was sent, and what came last in a WebSocket.
struct Heard {
    app: Peer,
    heads: Arc<Mutex<Vec<String>>>,
    last_words: Arc<Mutex<Vec<u8>>>,
}

impl Heard {
    async fn start() -> Self {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let last_words: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (log, words) = (Arc::clone(&heads), Arc::clone(&last_words));
        let app = Peer::plain(move |stream| serve(stream, Arc::clone(&log), Arc::clone(&words))).await;
        Self { app, heads, last_words }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>, last_words: Arc<Mutex<Vec<u8>>>) {
    while let Some((head, _body)) = read_request(&mut stream).await {
        log.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap();
        match path {
            // Says everything again, and has the last word.
            "/echo" => {
                stream.write_all(SWITCHING.as_bytes()).await.unwrap();
                let (mut reader, mut writer) = stream.into_split();
                if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
                    // A client that is gone does not hear it.
                    drop(writer.write_all(b"bye").await);
                }
                return;
            }
            // Has the first word, and then only listens.
            "/listens" => {
                stream.write_all(SWITCHING.as_bytes()).await.unwrap();
                stream.write_all(b"first").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut words = Vec::new();
                stream.read_to_end(&mut words).await.unwrap();
                *last_words.lock().unwrap() = words;
                return;
            }
            "/other-protocol" => {
                stream.write_all(SWITCHING.replace("websocket\r\n", "h2c\r\n").as_bytes()).await.unwrap();
                drop(stream.read_to_end(&mut Vec::new()).await);
                return;
            }
            "/refuses" => {
                let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\nx-end-to-end: 1\r\n\r\nnot today";
                stream.write_all(refusal).await.unwrap();
            }
            _ => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap(),
        }
    }
}

/// Reads a head, byte by byte.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(GENEROUS, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn open<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO, path: &str) -> IO {
    stream.write_all(HANDSHAKE.replace("/echo", path).as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] {
        assert_eq!(head.lines().filter(|other| *other == line).count(), 1, "{line} in {head}");
    }
    stream
}

async fn tcp(sidecar: &Sidecar) -> TcpStream {
    let stream = TcpStream::connect(sidecar.outbound).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), words: &[u8]) {
    stream.write_all(words).await.unwrap();
    let mut echo = vec![0; words.len()];
    tokio::time::timeout(GENEROUS, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(echo, words);
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    tokio::time::timeout(GENEROUS, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest
}

#[tokio::test]
async fn a_websocket_goes_through_both_sidecars() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    // Connections that are there already are for requests.
    assert_eq!(caller.get("invoicing", "/").await.status, StatusCode::OK);

    let mut stream = open(tcp(&caller).await, "/echo").await;
    let head = heard.heads().pop().unwrap();
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="] {
        assert_eq!(head.lines().filter(|other| *other == line).count(), 1, "{line} in {head}");
    }
    assert!(head.contains("x-forwarded-client-cert: By="), "{head}");

    // No byte means anything to a proxy: not a malformed head, not a sound one, not a great many.
    echoes(&mut stream, b"\x81\x85\0\0\0\0hello").await;
    echoes(&mut stream, b"a\nb\r\n\r\n\0").await;
    echoes(&mut stream, b"GET / HTTP/1.1\r\nhost: invoicing\r\n\r\n").await;
    let (mut reader, mut writer) = stream.split();
    let many: Vec<u8> = (0..4_000_000_u32).map(|byte| byte.to_le_bytes()[1]).collect();
    let mut echo = vec![0; many.len()];
    let (read, written) = tokio::join!(reader.read_exact(&mut echo), writer.write_all(&many));
    read.unwrap();
    written.unwrap();
    assert!(echo == many);
    assert_eq!(heard.heads().len(), 2);

    // It counts as one request in flight, on both sides, until it ends.
    let in_flight = async |sidecar: &Sidecar| sidecar.metric("samspill_requests_in_flight", &[]).await;
    let connections = async |sidecar: &Sidecar| sidecar.metric("samspill_connections_open", &[]).await;
    for sidecar in [&caller, &callee] {
        assert_eq!(in_flight(sidecar).await, 1);
        assert!(connections(sidecar).await >= 1);
    }
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"bye");
    for sidecar in [&caller, &callee] {
        wait_until("it is over", async || in_flight(sidecar).await == 0).await;
    }
    wait_until("its connection is closed", async || connections(&caller).await == 0).await;
    assert_eq!(caller.get("invoicing", "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stranger_may_open_one_at_the_edge() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    let edge = world.edge("invoicing").await;

    let mut stream = open(tcp(&edge).await, "/echo").await;
    let head = heard.heads().pop().unwrap();
    assert!(
        head.contains("\r\nupgrade: websocket\r\n") && head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{head}"
    );
    echoes(&mut stream, b"hello\r\n\r\n").await;
    assert_eq!(
        edge.metric("samspill_requests_in_flight", &[("proxy", "edge")]).await,
        2,
        "the request and its attempt"
    );
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"bye");

    // At the drain's end it is cut: strangers have all the time in the world.
    let mut stream = open(tcp(&edge).await, "/echo").await;
    let mut edge = edge;
    edge.terminate();
    let is_closed = async || TcpStream::connect(edge.outbound).await.is_err();
    wait_until("no stranger is let in", is_closed).await;
    echoes(&mut stream, b"still here").await;
    edge.terminate();
    assert_eq!(edge.ended().await.code(), Some(1));
    let mut rest = Vec::new();
    let _cut = tokio::time::timeout(GENEROUS, stream.read_to_end(&mut rest)).await.expect("it is cut");
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn one_may_be_opened_inside_a_tunnel() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);

    // As clients with an `http_proxy` do.
    let mut stream = tcp(&caller).await;
    stream.write_all(b"CONNECT invoicing:80 HTTP/1.1\r\nhost: invoicing:80\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut stream = open(stream, "/echo").await;
    echoes(&mut stream, b"hello\r\n\r\n").await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"bye");
}

#[tokio::test]
async fn the_app_may_end_its_side_first() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);

    let mut stream = open(tcp(&caller).await, "/listens").await;
    assert_eq!(rest(&mut stream).await, b"first");
    for word in [&b"and "[..], b"last"] {
        stream.write_all(word).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    wait_until("the app has heard the rest", async || *heard.last_words.lock().unwrap() == b"and last").await;
}

#[tokio::test]
async fn what_asks_for_something_else_is_a_plain_request() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    let member = world.identity("parcel-booking");

    for (from, to) in [
        ("upgrade: WebSocket\r\n", "upgrade: h2c\r\n"),
        ("upgrade: WebSocket\r\n", "upgrade: websocket, h2c\r\n"),
        ("upgrade: WebSocket\r\n", "upgrade: websocket\r\nupgrade: websocket\r\n"),
        ("upgrade: WebSocket\r\n", "upgrade: TLS/1.0\r\n"),
        ("keep-alive, Upgrade", "keep-alive"),
        ("GET", "POST"),
        ("host: invoicing\r\n", "host: invoicing\r\ncontent-length: 0\r\n"),
        ("GET", "GET"),
    ] {
        // The last two are WebSockets, but for a path where the app does not say so.
        let handshake = HANDSHAKE.replace("/echo", "/plain").replace(from, to);
        let mut stream = tcp(&caller).await;
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("upgrade"), "{to}: {head}");
        // The same by a member without a sidecar.
        let mut stream = connect(&member, callee.inbound, "invoicing", HTTP1).await.unwrap();
        stream.write_all(handshake.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "), "{to}");
    }
    let heads = heard.heads();
    assert_eq!(heads.len(), 16);
    for (number, head) in heads.iter().enumerate() {
        let asks = head.to_ascii_lowercase().contains("upgrade");
        assert_eq!(asks, number >= 12, "{head}");
    }
}

#[tokio::test]
async fn another_answer_passes_and_nothing_behind_the_handshake_is_a_request() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);

    let hasty = "GET /hasty HTTP/1.1\r\nhost: invoicing\r\n\r\n";
    let answer = web::raw(caller.outbound, (HANDSHAKE.replace("/echo", "/refuses") + hasty).as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with("\r\n\r\nnot today"), "{answer}");
    assert!(answer.contains("x-end-to-end: 1") && answer.contains("connection: close"), "{answer}");

    let answer = web::raw(caller.outbound, HANDSHAKE.replace("/echo", "/other-protocol").as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("upstream-reset"), "{answer}");
    // Nobody has asked for this one.
    let reply = caller.get("invoicing", "/echo").await;
    assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::BAD_GATEWAY, "upstream-reset"));

    // Where the app takes it, what is behind the handshake is in the tunnel.
    let mut stream = tcp(&caller).await;
    stream.write_all((HANDSHAKE.to_owned() + hasty).as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (hasty.to_owned() + "bye").as_bytes());
    let heads = heard.heads();
    assert!(heads.len() == 4 && !heads.iter().any(|head| head.contains("/hasty")), "{heads:?}");
}

#[tokio::test]
async fn an_app_that_speaks_http2_has_a_plain_request() {
    let world = World::new().await;
    let app = App::echo().await;
    let callee = world.sidecar("invoicing", app.address, AppProtocol::Http2).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http2, "invoicing", &[callee.inbound]);
    let answer = web::raw(caller.outbound, HANDSHAKE.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    let seen = app.seen().pop().unwrap();
    assert_eq!((seen.header("upgrade"), seen.header("connection")), ("", ""));
}

#[tokio::test]
async fn a_websocket_ends_with_its_certificate() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let sidecar = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let brief = issue(&world.authority, &World::id("parcel-booking"), Duration::from_secs(2));
    let stream = connect(&brief, sidecar.inbound, "invoicing", HTTP1).await.unwrap();
    let mut stream = open(stream, "/echo").await;
    // The far side's end: cut, so without a last word.
    let mut rest = Vec::new();
    let _cut = tokio::time::timeout(GENEROUS, stream.read_to_end(&mut rest)).await.expect("it is cut");
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_drain_leaves_websockets_to_the_app_and_sigterm_waits_for_them() {
    let world = World::new().await;
    let heard = Heard::start().await;
    let mut callee = world.sidecar("invoicing", heard.app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    let mut stream = open(tcp(&caller).await, "/echo").await;

    // Before the app is told to go, nobody waits for what only it can end.
    let drain = request(Method::POST, "admin", "/drain?timeout_seconds=60", "");
    assert_eq!(web::send(callee.admin, drain).await.unwrap().body, "drained\n");
    echoes(&mut stream, b"still here").await;

    callee.terminate();
    let is_closed = async || TcpStream::connect(callee.inbound).await.is_err();
    wait_until("the way in is closed", is_closed).await;
    echoes(&mut stream, b"and here").await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"bye");
    assert_eq!(callee.ended().await.code(), Some(0));
}
