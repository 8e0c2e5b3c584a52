//! A message says the same on both sides of the mesh, whichever HTTP is spoken there.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Frame;
use samspill_model::intent::AppProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::{Answer, App, Seen, text};
use super::call::{Body, Whole, ask, full, streamed, to};
use super::peer::{Peer, read_request};
use super::sidecar::Sidecar;
use super::world::World;

/// More than any single read, less than what a head may have.
const LONG_FIELD_BYTES: usize = 30 * 1024;

fn pieces<const N: usize>(frames: [Frame<Bytes>; N]) -> Body {
    streamed(futures_util::stream::iter(frames))
}

fn answer(seen: Seen) -> Answer {
    let response = Response::builder();
    let empty = || Empty::new().boxed();
    let data = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
    let answer = match seen.head.uri.path() {
        "/length" if seen.head.method == Method::HEAD => response.header("content-length", "1234").body(empty()),
        "/length" => response.body(Full::from("x".repeat(1234)).boxed()),
        "/no-content" => response.status(StatusCode::NO_CONTENT).body(empty()),
        "/not-modified" => response.status(StatusCode::NOT_MODIFIED).header("etag", "\"x\"").body(empty()),
        "/pieces" => response.body(pieces([data("one"), data("two")])),
        "/long-field" => response.header("x-long", "x".repeat(LONG_FIELD_BYTES)).body(empty()),
        "/trailers" => {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            trailers.insert("x-forwarded-client-cert", "a lie".parse().unwrap());
            let frames = [data("one"), Frame::trailers(trailers)];
            response.header("trailer", "x-checksum, x-forwarded-client-cert").body(pieces(frames))
        }
        _ => return text(seen.body),
    };
    answer.unwrap()
}

/// An app behind two sidecars, one for each protocol, as two services; and a caller.
struct Mesh {
    app: App,
    caller: Sidecar,
    _callees: [Sidecar; 2],
    _world: World,
}

impl Mesh {
    async fn start() -> Self {
        let world = World::new().await;
        let app = App::answering(answer).await;
        let http1 = world.sidecar("app", app.address, AppProtocol::Http1).await;
        let http2 = world.sidecar("app", app.address, AppProtocol::Http2).await;
        let caller = world.caller("parcel-booking").await;
        world.service("http1", AppProtocol::Http1, "app", &[http1.inbound]);
        world.service("http2", AppProtocol::Http2, "app", &[http2.inbound]);
        Self { app, caller, _callees: [http1, http2], _world: world }
    }

    async fn ask(&self, (is_http2, service): (bool, &str), path: &str, edit: impl FnOnce(Builder) -> Request) -> Whole {
        let reply = ask(self.caller.outbound, is_http2, edit(to(is_http2, service, path))).await;
        reply.unwrap_or_else(|error| panic!("{path} from HTTP/2 {is_http2} to {service}: {error:?}"))
    }
}

type Builder = http::request::Builder;
type Request = http::Request<Body>;

/// What the caller speaks (HTTP/2 or not), and what the app does.
const WAYS: [(bool, &str); 4] = [(false, "http1"), (false, "http2"), (true, "http1"), (true, "http2")];

#[tokio::test]
async fn answers_without_a_body() {
    let mesh = Mesh::start().await;
    for way in WAYS {
        // HEAD tells the length of what it does not send. The connection must not wait for that: it is used again.
        for _ in 0..2 {
            let head = mesh.ask(way, "/length", |request| request.method(Method::HEAD).body(full("")).unwrap()).await;
            assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, "1234", 0));
        }
        let reply = mesh.ask(way, "/length", |request| request.body(full("")).unwrap()).await;
        assert_eq!((reply.header("content-length"), reply.body.len()), ("1234", 1234), "{way:?}");

        let reply = mesh.ask(way, "/no-content", |request| request.body(full("")).unwrap()).await;
        assert_eq!((reply.status, reply.body.len()), (StatusCode::NO_CONTENT, 0));
        assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), ("", ""), "{way:?}");

        let reply = mesh.ask(way, "/not-modified", |request| request.body(full("")).unwrap()).await;
        assert_eq!((reply.status, reply.header("etag"), reply.body.len()), (StatusCode::NOT_MODIFIED, "\"x\"", 0));
    }
}

#[tokio::test]
async fn bodies_of_known_and_unknown_length() {
    let mesh = Mesh::start().await;
    for way in WAYS {
        let reply = mesh.ask(way, "/pieces", |request| request.body(full("")).unwrap()).await;
        assert_eq!((reply.header("content-length"), &reply.body[..]), ("", &b"onetwo"[..]), "{way:?}");

        let long = Bytes::from("x".repeat(3 << 20));
        let post = |request: Builder| request.method(Method::POST).body(full(long.clone())).unwrap();
        let reply = mesh.ask(way, "/", post).await;
        assert_eq!(reply.header("content-length"), long.len().to_string());
        assert!(reply.body == long);
        let seen = mesh.app.seen().pop().unwrap();
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (&*long.len().to_string(), ""));

        let piece = Frame::data(long.slice(..100_000));
        let post = |request: Builder| request.method(Method::POST).body(pieces([piece])).unwrap();
        assert_eq!(mesh.ask(way, "/", post).await.body.len(), 100_000);
        assert_eq!(mesh.app.seen().pop().unwrap().header("content-length"), "", "{way:?}");

        // Nothing is something else than no body.
        mesh.ask(way, "/", |request| request.method(Method::POST).body(full("")).unwrap()).await;
        assert_eq!(mesh.app.seen().pop().unwrap().body.len(), 0);
        mesh.ask(way, "/", |request| request.method(Method::GET).body(full("a body")).unwrap()).await;
        assert_eq!(mesh.app.seen().pop().unwrap().body, "a body");
    }
}

#[tokio::test]
async fn trailers_either_way() {
    let mesh = Mesh::start().await;
    for way in WAYS {
        let get = |request: Builder| request.header("te", "trailers").body(full("")).unwrap();
        let reply = mesh.ask(way, "/trailers", get).await;
        assert_eq!(&reply.body[..], b"one");
        assert_eq!(reply.trailers.get("x-checksum").map(|value| value.as_bytes()), Some(&b"1"[..]), "{way:?}");
        assert_eq!(reply.trailers.len(), 1, "{way:?}: what may not stand there does not");

        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-checksum", "1".parse().unwrap());
        trailers.insert("x-forwarded-client-cert", "a lie".parse().unwrap());
        let body = pieces([Frame::data(Bytes::from("one")), Frame::trailers(trailers)]);
        let post = |request: Builder| {
            request.method(Method::POST).header("trailer", "x-checksum, x-forwarded-client-cert").body(body).unwrap()
        };
        mesh.ask(way, "/", post).await;
        let seen = mesh.app.seen().pop().unwrap();
        assert_eq!(seen.trailers.get("x-checksum").map(|value| value.as_bytes()), Some(&b"1"[..]), "{way:?}");
        assert_eq!(seen.trailers.len(), 1, "{way:?}");
    }
}

#[tokio::test]
async fn heads_as_large_as_the_gate_lets_through() {
    let mesh = Mesh::start().await;
    for way in WAYS {
        let long = "x".repeat(LONG_FIELD_BYTES);
        let get = |request: Builder| request.header("x-long", &long).body(full("")).unwrap();
        let reply = mesh.ask(way, "/long-field", get).await;
        assert_eq!((reply.status, reply.header("x-long").len()), (StatusCode::OK, LONG_FIELD_BYTES), "{way:?}");
        assert_eq!(mesh.app.seen().pop().unwrap().header("x-long").len(), LONG_FIELD_BYTES);
    }
}

/// What an HTTP/1 app may say that is not simply an answer.
#[tokio::test]
async fn odd_answers_of_http1_apps() {
    let world = World::new().await;
    let caller = world.caller("parcel-booking").await;
    let mut callees = Vec::new();
    let cases: [(&str, &'static [u8], Result<&str, &str>); 6] = [
        (
            "early-hints",
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Ok("ok"),
        ),
        ("http10", b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil the end", Ok("until the end")),
        ("closes", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", Ok("ok")),
        (
            "switches",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            Err("upstream-reset"),
        ),
        ("smuggles", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk", Err("upstream-reset")),
        ("babbles", b"what?\r\n\r\n", Err("upstream-reset")),
    ];
    for (name, bytes, expected) in cases {
        let app = Peer::plain(move |mut stream| async move {
            if read_request(&mut stream).await.is_some() {
                drop(stream.write_all(bytes).await);
            }
        })
        .await;
        callees.push(world.sidecar("app", app.address, AppProtocol::Http1).await);
        world.service(name, AppProtocol::Http1, "app", &[callees.last().unwrap().inbound]);
        for is_http2 in [false, true] {
            let reply = ask(caller.outbound, is_http2, to(is_http2, name, "/").body(full("")).unwrap()).await.unwrap();
            match expected {
                Ok(body) => assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, body.as_bytes()), "{name}"),
                Err(reason) => {
                    let found = (reply.status, reply.header("x-samspill-reason"));
                    assert_eq!(found, (StatusCode::BAD_GATEWAY, reason), "{name}");
                }
            }
            assert_eq!((reply.header("connection"), reply.header("upgrade"), reply.header("link")), ("", "", ""));
        }
    }
}

/// Says something in HTTP/1's own bytes, and reads what comes until `end`, or until the connection does.
async fn say(caller: &Sidecar, text: &str, end: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(caller.outbound).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) || end.is_empty() {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_end) => break,
        }
    }
    (String::from_utf8(answer).unwrap(), stream)
}

#[tokio::test]
async fn odd_requests_of_http1_clients() {
    let mesh = Mesh::start().await;
    for (_, service) in WAYS.into_iter().take(2) {
        // Before chunks were known: the end of the connection is the end of the answer.
        let (answer, _) = say(&mesh.caller, &format!("GET /pieces HTTP/1.0\r\nhost: {service}\r\n\r\n"), "").await;
        assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nonetwo"), "{answer}");
        assert!(!answer.contains("chunked"), "{answer}");

        // A client that waits to be told to go on.
        let head = format!("POST / HTTP/1.1\r\nhost: {service}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
        let (answer, mut stream) = say(&mesh.caller, &head, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
        stream.write_all(b"body").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert_eq!(mesh.app.seen().pop().unwrap().body, "body");

        // Two requests at once are answered in their order.
        let one = |path| format!("GET /{path} HTTP/1.1\r\nhost: {service}\r\n");
        let both = format!("{}\r\n{}connection: close\r\n\r\n", one("length"), one("pieces"));
        let (answer, _) = say(&mesh.caller, &both, "").await;
        let (first, second) = (answer.find("x\r\n0").is_none(), answer.find("onetwo").or(answer.find("3\r\none")));
        assert!(first && answer.contains("content-length: 1234") && second.is_some(), "{answer}");

        // A question to the server and not to any of its pages.
        let all = format!("OPTIONS * HTTP/1.1\r\nhost: {service}\r\nconnection: close\r\n\r\n");
        let (answer, _) = say(&mesh.caller, &all, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = mesh.app.seen().pop().unwrap();
        assert_eq!((&seen.head.method, seen.head.uri.path()), (&Method::OPTIONS, "*"));
    }
}
