//! No connection outlives the certificates that it was made with, and no short request notices.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use samspill_model::intent::AppProtocol;
use samspill_testkit::wait_until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::app::App;
use super::call::{HTTP1, HTTP2, connect, full, h2c, http1, streamed, to};
use super::grpc;
use super::peer::{Peer, read_request};
use super::sidecar::Sidecar;
use super::world::{World, issue};

/// Certificates are dated in whole seconds, so that these live for five at least.
const LIFETIME: Duration = Duration::from_secs(6);

/// Requests one after the other, until `sidecar` has made `handshakes` more with others.
async fn short_requests(sidecar: &Sidecar, service: &str, handshakes: u64) -> Result<(), String> {
    let count = async || sidecar.metric("samspill_handshakes_total", &[("proxy", "outbound"), ("result", "ok")]).await;
    let enough = count().await + handshakes;
    while count().await < enough {
        let reply = sidecar.post(service, "body").await;
        if (reply.status, reply.body.as_str()) != (StatusCode::OK, "body") {
            return Err(format!("{service}: {reply:?}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_long_stream_ends_with_its_certificate_and_short_requests_never_fail() {
    let world = World::with_certificates_for(LIFETIME).await;
    let app = App::echo().await;
    let first = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let second = world.sidecar("invoicing", app.address, AppProtocol::Http2).await;
    let streams = world.sidecar("echo", grpc::serve().await, AppProtocol::Http2).await;
    let caller = world.caller("parcel-booking").await;
    world.service("http1", AppProtocol::Http1, "invoicing", &[first.inbound]);
    world.service("http2", AppProtocol::Http2, "invoicing", &[second.inbound]);
    world.service("echo", AppProtocol::Http2, "echo", &[streams.inbound]);

    // A stream that neither side wants to end.
    let (messages, frames) = mpsc::channel(1);
    let hello = Bytes::from_static(b"\0\0\0\0\x05hello");
    messages.send(Frame::data(hello.clone())).await.unwrap();
    let request = to(true, "echo", grpc::BOTH.path()).method(Method::POST).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").body(streamed(ReceiverStream::new(frames))).unwrap();
    let mut client = h2c(caller.outbound).await;
    let mut answer = client.send_request(request).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "\0\0\0\0\x05HELLO");
    let stream = async {
        while let Some(frame) = answer.frame().await {
            if frame.is_err() {
                return Ok(());
            }
        }
        Err("the stream has ended as if the service had ended it".to_owned())
    };

    // Each connection is made three times more meanwhile.
    let requests = try_join_all([short_requests(&caller, "http1", 6), short_requests(&caller, "http2", 6)]);
    let (cut, served) = tokio::join!(stream, requests);
    assert_eq!(cut, Ok(()));
    assert_eq!(served, Ok(vec![(), ()]));
    drop(messages);

    // And the way is free for the next one.
    let mut client = grpc::client(caller.outbound, "echo");
    assert_eq!(grpc::unary(&mut client, "hello").await.unwrap().into_inner(), "hello");
}

#[tokio::test]
async fn a_caller_is_cut_off_when_its_own_certificate_ends() {
    let world = World::new().await;
    let app = App::echo().await;
    let sidecar = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let brief = issue(&world.authority, &World::id("parcel-booking"), Duration::from_secs(2));
    // One that says nothing, and one that does not end its request.
    let silent = http1(connect(&brief, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let mut talker = http1(connect(&brief, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let (_never_ends, frames) = mpsc::channel(1);
    let request = to(false, "invoicing", "/").method(Method::POST).body(streamed(ReceiverStream::new(frames))).unwrap();
    let talk = async move { talker.send_request(request).await.is_err() };
    let talk = tokio::spawn(talk);
    wait_until("both are cut off", async || silent.is_closed() && talk.is_finished()).await;
    assert!(talk.await.unwrap());
    assert_eq!(app.seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_goes_on_for_ever_is_cut_off() {
    let world = World::with_certificates_for(Duration::from_secs(3)).await;
    let caller = world.caller("parcel-booking").await;
    // Members whose own certificates last, and who begin answers that they never end.
    let http1 = Peer::member(world.identity("invoicing"), HTTP1, |mut stream| async move {
        if read_request(&mut stream).await.is_some() {
            let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
            stream.write_all(half).await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
    })
    .await;
    let http2 = Peer::member(world.identity("invoicing"), HTTP2, |stream| async move {
        let service = service_fn(|_request| async {
            let half = futures_util::stream::once(async { Frame::data(Bytes::from_static(b"half")) });
            Ok::<_, Infallible>(Response::new(streamed(half.chain(futures_util::stream::pending()))))
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(TokioIo::new(stream), service).await);
    })
    .await;
    world.service("http1", AppProtocol::Http1, "invoicing", &[http1.address]);
    world.service("http2", AppProtocol::Http2, "invoicing", &[http2.address]);
    let never_ends = async |service| {
        let mut client = h2c(caller.outbound).await;
        let mut answer = client.send_request(to(true, service, "/").body(full("")).unwrap()).await.unwrap().into_body();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        answer
    };
    let rest = |mut answer: Incoming| tokio::spawn(async move { answer.frame().await });
    let answers = [rest(never_ends("http1").await), rest(never_ends("http2").await)];
    wait_until("both are cut off", async || answers.iter().all(JoinHandle::is_finished)).await;
    for answer in answers {
        assert!(matches!(answer.await.unwrap(), Some(Err(_))));
    }
}
