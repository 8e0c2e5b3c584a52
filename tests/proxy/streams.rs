//! gRPC through two sidecars; and streams that break off, which must never look like streams that end.

use std::sync::Arc;

use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use samspill_model::intent::AppProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::call::{Whole, ask, full, h2c, http1, http2, streamed, to};
use super::grpc::{self, BOTH, CLIENT, FAIL, SERVER, Text};
use super::peer::{Frame, Peer, read_request};
use super::sidecar::Sidecar;
use super::world::World;

const CANCEL: u32 = 8;
const NO_ERROR: u32 = 0;

async fn echo(world: &World) -> (Sidecar, Sidecar) {
    let app = grpc::serve().await;
    let callee = world.sidecar("echo", app, AppProtocol::Http2).await;
    let caller = world.caller("parcel-booking").await;
    world.service("echo", AppProtocol::Http2, "echo", &[callee.inbound]);
    (caller, callee)
}

#[tokio::test]
async fn all_four_kinds_of_calls() {
    let world = World::new().await;
    let (caller, _callee) = echo(&world).await;
    let mut client = grpc::client(caller.outbound, "echo");

    // One message each way; then more than a window holds.
    assert_eq!(grpc::unary(&mut client, "hello").await.unwrap().into_inner(), "hello");
    let long = "x".repeat(3 << 20);
    assert_eq!(grpc::unary(&mut client, &long).await.unwrap().into_inner(), long);

    // Many messages one way.
    client.ready().await.unwrap();
    let messages = futures_util::stream::iter(["a", "b", "c"].map(str::to_owned));
    let all = client.client_streaming(Request::new(messages), CLIENT, Text).await.unwrap();
    assert_eq!(all.into_inner(), "abc");
    client.ready().await.unwrap();
    let words = client.server_streaming(Request::new("a b c".to_owned()), SERVER, Text).await.unwrap().into_inner();
    assert_eq!(words.map(Result::unwrap).collect::<Vec<String>>().await, ["a", "b", "c"]);

    // Both ways, in turns: nothing is held back until a stream ends.
    let (sender, messages) = mpsc::channel(1);
    client.ready().await.unwrap();
    let shouts = client.streaming(Request::new(ReceiverStream::new(messages)), BOTH, Text).await.unwrap();
    let mut shouts = shouts.into_inner();
    for (message, shout) in [("one", "ONE"), ("two", "TWO")] {
        sender.send(message.to_owned()).await.unwrap();
        assert_eq!(shouts.message().await.unwrap().as_deref(), Some(shout));
    }
    drop(sender);
    assert_eq!(shouts.message().await.unwrap(), None);
    assert!(shouts.trailers().await.unwrap().is_some());
}

#[tokio::test]
async fn a_status_arrives_as_it_was_given() {
    let world = World::new().await;
    let (caller, _callee) = echo(&world).await;
    let mut client = grpc::client(caller.outbound, "echo");
    let check = |status: &tonic::Status| {
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "it was told to: 100 %"));
        assert_eq!(status.metadata().get("x-why").unwrap(), "because");
    };

    // Without a message: in the head.
    check(&grpc::unary(&mut client, FAIL).await.unwrap_err());
    // After messages: in the trailers.
    client.ready().await.unwrap();
    let words = client.server_streaming(Request::new(format!("a {FAIL} c")), SERVER, Text).await.unwrap();
    let mut words = words.into_inner();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    check(&words.message().await.unwrap_err());
    // Before the client has said all.
    let (sender, messages) = mpsc::channel(1);
    sender.send(FAIL.to_owned()).await.unwrap();
    client.ready().await.unwrap();
    check(&client.client_streaming(Request::new(ReceiverStream::new(messages)), CLIENT, Text).await.unwrap_err());
    drop(sender);
    // And the connection is as good as before.
    assert_eq!(grpc::unary(&mut client, "hello").await.unwrap().into_inner(), "hello");
}

#[tokio::test]
async fn what_the_mesh_has_to_say_is_a_status_too() {
    let world = World::new().await;
    let lonely = world.sidecar("echo", world.nobody(), AppProtocol::Http2).await;
    let caller = world.caller("parcel-booking").await;
    world.service("lonely", AppProtocol::Http2, "echo", &[lonely.inbound]);
    for (service, code) in [("unheard-of", Code::Unimplemented), ("lonely", Code::Unavailable)] {
        let status = grpc::unary(&mut grpc::client(caller.outbound, service), "hello").await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
    }

    // On the wire: trailers-only, which is a head and no more.
    let request = to(true, "unheard-of", "/test.Echo/Unary").method(Method::POST);
    let request = request.header("content-type", "application/grpc").header("te", "trailers").body(full("")).unwrap();
    let reply = ask(caller.outbound, true, request).await.unwrap();
    assert_eq!((reply.status, reply.header("grpc-status")), (StatusCode::OK, "12"));
    assert_eq!((reply.header("content-type"), reply.body.len()), ("application/grpc", 0));
    assert_eq!(reply.header("x-samspill-reason"), "unknown-service");
}

/// A request that is broken off by its sender must not look complete to the app.
#[tokio::test]
async fn a_cancelled_request_does_not_end() {
    let world = World::new().await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    let app = Peer::plain(move |mut stream: TcpStream| {
        let sender = sender.clone();
        async move {
            let mut all = Vec::new();
            let mut has_begun = false;
            while stream.read_buf(&mut all).await.is_ok_and(|count| count > 0) {
                if !has_begun && all.windows(5).any(|window| window == b"begin") {
                    has_begun = true;
                    sender.send(Vec::new()).unwrap();
                }
            }
            sender.send(all).unwrap();
        }
    })
    .await;
    let callee = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    // With an alternative, bodies go another way through the proxy than without.
    world.service("one", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    world.service("two", AppProtocol::Http1, "invoicing", &[callee.inbound, world.nobody()]);
    for (service, code) in [("one", CANCEL), ("two", CANCEL), ("one", NO_ERROR), ("two", NO_ERROR)] {
        // POST http://<service>/ (RFC 7541, appendix A: fields 3, 6 and 4, and the name of field 1).
        let authority = [&[0x41, 3], service.as_bytes()].concat();
        let head = [&[0x83, 0x86, 0x84][..], &authority].concat();
        let mut client = TcpStream::connect(caller.outbound).await.unwrap();
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        for frame in [
            Frame::new(Frame::SETTINGS, 0, 0, &[]),
            Frame::new(Frame::HEADERS, Frame::END_HEADERS, 1, &head),
            Frame::new(Frame::DATA, 0, 1, b"begin"),
        ] {
            client.write_all(&frame.encode()).await.unwrap();
        }
        assert!(seen.recv().await.unwrap().is_empty(), "the app has begun to read");
        client.write_all(&Frame::new(Frame::RST_STREAM, 0, 1, &code.to_be_bytes()).encode()).await.unwrap();
        let all = seen.recv().await.unwrap();
        assert!(!all.ends_with(b"0\r\n\r\n"), "{service}, {code}: {}", String::from_utf8_lossy(&all));
    }
}

/// An answer that breaks off must not look complete to the caller, in either protocol.
#[tokio::test]
async fn a_broken_answer_does_not_end() {
    let world = World::new().await;
    let caller = world.caller("parcel-booking").await;
    // Given when the caller has the first half.
    let read = Arc::new(Semaphore::new(0));

    let permits = Arc::clone(&read);
    let breaks_off = Peer::plain(move |mut stream| {
        let permits = Arc::clone(&permits);
        async move {
            read_request(&mut stream).await;
            let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
            stream.write_all(half).await.unwrap();
            permits.acquire().await.unwrap().forget();
        }
    })
    .await;
    let mut callees = vec![world.sidecar("invoicing", breaks_off.address, AppProtocol::Http1).await];
    world.service("http1", AppProtocol::Http1, "invoicing", &[callees[0].inbound]);
    for (name, code) in [("cancel", CANCEL), ("no-error", NO_ERROR)] {
        let permits = Arc::clone(&read);
        let resets = Peer::plain(move |stream| half_an_answer(stream, code, Arc::clone(&permits))).await;
        callees.push(world.sidecar("invoicing", resets.address, AppProtocol::Http2).await);
        world.service(name, AppProtocol::Http2, "invoicing", &[callees.last().unwrap().inbound]);
    }
    for service in ["http1", "cancel", "no-error"] {
        for is_http2 in [false, true] {
            let request = to(is_http2, service, "/").body(full("")).unwrap();
            let stream = TcpStream::connect(caller.outbound).await.unwrap();
            let reply = if is_http2 {
                http2(stream).await.send_request(request).await.unwrap()
            } else {
                http1(stream).await.send_request(request).await.unwrap()
            };
            assert_eq!(reply.status(), StatusCode::OK);
            let mut body = reply.into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
            read.add_permits(1);
            let rest = body.frame().await;
            assert!(matches!(rest, Some(Err(_))), "{service}, HTTP/2 {is_http2}: {rest:?}");
        }
    }
}

/// An HTTP/2 app that begins an answer and resets the stream.
async fn half_an_answer(mut stream: TcpStream, code: u32, permits: Arc<Semaphore>) {
    const STATUS_200: &[u8] = &[0x88]; // RFC 7541, appendix A
    let talk = async {
        stream.read_exact(&mut [0; 24]).await.ok()?;
        stream.write_all(&Frame::new(Frame::SETTINGS, 0, 0, &[]).encode()).await.ok()?;
        loop {
            let frame = Frame::read(&mut stream).await?;
            match frame.kind {
                Frame::SETTINGS if frame.flags & Frame::ACK == 0 => {
                    let acknowledged = Frame::new(Frame::SETTINGS, Frame::ACK, 0, &[]);
                    stream.write_all(&acknowledged.encode()).await.ok()?;
                }
                Frame::HEADERS => {
                    let head = Frame::new(Frame::HEADERS, Frame::END_HEADERS, frame.stream, STATUS_200);
                    let half = Frame::new(Frame::DATA, 0, frame.stream, b"half");
                    stream.write_all(&[head.encode(), half.encode()].concat()).await.ok()?;
                    permits.acquire().await.unwrap().forget();
                    let reset = Frame::new(Frame::RST_STREAM, 0, frame.stream, &code.to_be_bytes());
                    stream.write_all(&reset.encode()).await.ok()?;
                }
                _ => {}
            }
        }
    };
    let _the_end_of_the_connection: Option<()> = talk.await;
}

/// A caller that has had its answer may stop sending; the answer is whole.
#[tokio::test]
async fn an_answer_may_come_before_the_end_of_the_request() {
    let world = World::new().await;
    let (caller, _callee) = echo(&world).await;
    let (never_ends, frames) = mpsc::channel(1);
    let request = to(true, "echo", "/test.Echo/Nothing").method(Method::POST);
    let request =
        request.header("content-type", "application/grpc").body(streamed(ReceiverStream::new(frames))).unwrap();
    let reply = h2c(caller.outbound).await.send_request(request).await.unwrap();
    let reply = Whole::read(reply).await.unwrap();
    assert_eq!(reply.header("grpc-status"), "12");
    drop(never_ends);
}
