//! gRPC through two sidecars; and streams that break off, which must never look like streams that end.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as BodyFrame;
use samspill_model::intent::AppProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::call::{Whole, ask, full, h2c, to};
use super::grpc::{self, BOTH, CLIENT, FAIL, SERVER, Text};
use super::peer::{Frame, Peer, read_request};
use super::sidecar::Sidecar;
use super::world::World;

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
    let (seen_sender, mut seen) = mpsc::unbounded_channel();
    let app = Peer::plain(move |mut stream: TcpStream| {
        let seen_sender = seen_sender.clone();
        async move {
            let mut all = Vec::new();
            let mut has_begun = false;
            while stream.read_buf(&mut all).await.is_ok_and(|count| count > 0) {
                if !has_begun && all.windows(5).any(|window| window == b"begin") {
                    has_begun = true;
                    seen_sender.send(Vec::new()).unwrap();
                }
            }
            seen_sender.send(all).unwrap();
        }
    })
    .await;
    let callee = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    // With an alternative, bodies go another way through the proxy than without.
    world.service("one", AppProtocol::Http1, "invoicing", &[callee.inbound]);
    world.service("two", AppProtocol::Http1, "invoicing", &[callee.inbound, world.nobody()]);
    for service in ["one", "two"] {
        let (body, frames) = mpsc::channel(1);
        body.send(Ok(BodyFrame::data(Bytes::from("begin")))).await.unwrap();
        let request = to(true, service, "/").method(Method::POST);
        let request = request.body(StreamBody::new(ReceiverStream::new(frames)).boxed()).unwrap();
        let mut client = h2c(caller.outbound).await;
        let answer = client.send_request(request);
        tokio::select! {
            answer = answer => panic!("the app has not answered: {answer:?}"),
            begun = seen.recv() => assert_eq!(begun.unwrap(), []),
        }
        // The future is gone, and with it the request: RST_STREAM, CANCEL.
        let all = seen.recv().await.unwrap();
        assert!(!all.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&all));
        drop(body);
    }
}

/// An answer that breaks off must not look complete to the caller, in either protocol.
#[tokio::test]
async fn a_broken_answer_does_not_end() {
    const CANCEL: u32 = 8;
    const NO_ERROR: u32 = 0;
    let world = World::new().await;
    let caller = world.caller("parcel-booking").await;

    let breaks_off = Peer::plain(|mut stream| async move {
        read_request(&mut stream).await;
        let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        stream.write_all(half).await.unwrap();
    })
    .await;
    let callee = world.sidecar("invoicing", breaks_off.address, AppProtocol::Http1).await;
    world.service("http1", AppProtocol::Http1, "invoicing", &[callee.inbound]);

    let mut callees = Vec::new();
    for (name, code) in [("cancel", CANCEL), ("no-error", NO_ERROR)] {
        let resets = Peer::plain(move |stream| half_an_answer(stream, code)).await;
        callees.push(world.sidecar("invoicing", resets.address, AppProtocol::Http2).await);
        world.service(name, AppProtocol::Http2, "invoicing", &[callees.last().unwrap().inbound]);
    }
    for service in ["http1", "cancel", "no-error"] {
        for is_http2 in [false, true] {
            let request = to(is_http2, service, "/").body(full("")).unwrap();
            let reply = ask(caller.outbound, is_http2, request).await;
            assert!(reply.is_err(), "{service}, HTTP/2 {is_http2}: {reply:?}");
        }
    }
}

/// An HTTP/2 app that begins an answer and resets the stream.
async fn half_an_answer(mut stream: TcpStream, code: u32) {
    const STATUS_200: &[u8] = &[0x88]; // RFC 7541, appendix A
    const END_HEADERS: u8 = 4;
    let talk = async {
        stream.read_exact(&mut [0; 24]).await.ok()?;
        stream.write_all(&Frame::new(Frame::SETTINGS, 0, 0, &[]).encode()).await.ok()?;
        loop {
            let frame = Frame::read(&mut stream).await?;
            let answer = match frame.kind {
                Frame::SETTINGS if frame.flags & Frame::ACK == 0 => {
                    Frame::new(Frame::SETTINGS, Frame::ACK, 0, &[]).encode()
                }
                Frame::HEADERS => [
                    Frame::new(Frame::HEADERS, END_HEADERS, frame.stream, STATUS_200).encode(),
                    Frame::new(Frame::DATA, 0, frame.stream, b"half").encode(),
                    Frame::new(Frame::RST_STREAM, 0, frame.stream, &code.to_be_bytes()).encode(),
                ]
                .concat(),
                _ => continue,
            };
            stream.write_all(&answer).await.ok()?;
        }
    };
    let _the_end_of_the_connection: Option<()> = talk.await;
}

/// A caller that has had its answer may stop sending; the answer is whole.
#[tokio::test]
async fn an_answer_may_come_before_the_end_of_the_request() {
    let world = World::new().await;
    let (caller, _callee) = echo(&world).await;
    let (release, released) = oneshot::channel::<()>();
    let frames = async_stream(released);
    let request = to(true, "echo", "/test.Echo/Nothing").method(Method::POST);
    let request = request.header("content-type", "application/grpc").body(StreamBody::new(frames).boxed()).unwrap();
    let reply = h2c(caller.outbound).await.send_request(request).await.unwrap();
    let reply = Whole::read(reply).await.unwrap();
    assert_eq!(reply.header("grpc-status"), "12");
    drop(release);
}

/// A body that ends when the channel does.
fn async_stream(
    ended: oneshot::Receiver<()>,
) -> impl futures_util::Stream<Item = Result<BodyFrame<Bytes>, std::convert::Infallible>> {
    futures_util::stream::once(async move {
        drop(ended.await);
        Ok(BodyFrame::data(Bytes::new()))
    })
}
