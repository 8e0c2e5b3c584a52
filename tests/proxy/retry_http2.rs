//! The same in HTTP/2, where a server can say that it has not begun.

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;
use samspill_identity::TlsStream;
use samspill_model::intent::AppProtocol;
use samspill_testkit::wait_until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::call::HTTP2;
use super::peer::{Frame, Peer};
use super::retry::check;
use super::world::World;

const REFUSED_STREAM: u32 = 7;
const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Answers the head of each request with a frame.
async fn answer_heads(mut stream: TlsStream<TcpStream>, answer: impl Fn(u32) -> Frame) {
    let talk = async {
        stream.read_exact(&mut [0; 24]).await.ok()?; // the preface
        stream.write_all(&Frame::new(Frame::SETTINGS, 0, 0, &[]).encode()).await.ok()?;
        loop {
            let frame = Frame::read(&mut stream).await?;
            let reply = match (frame.kind, frame.flags & Frame::ACK) {
                (Frame::SETTINGS, 0) => Frame::new(Frame::SETTINGS, Frame::ACK, 0, &[]),
                (Frame::HEADERS, _) => answer(frame.stream),
                _ => continue,
            };
            stream.write_all(&reply.encode()).await.ok()?;
        }
    };
    let _the_end_of_the_connection: Option<()> = talk.await;
}

#[tokio::test]
async fn after_a_refused_stream() {
    let world = World::new().await;
    let refuses = Peer::member(world.identity("invoicing"), HTTP2, |stream| {
        answer_heads(stream, |id| Frame::new(Frame::RST_STREAM, 0, id, &REFUSED_STREAM.to_be_bytes()))
    })
    .await;
    check(&world, refuses.address, AppProtocol::Http2).await;
}

#[tokio::test]
async fn after_a_goaway_that_leaves_the_request_out() {
    for code in [NO_ERROR, ENHANCE_YOUR_CALM] {
        let world = World::new().await;
        let leaves = Peer::member(world.identity("invoicing"), HTTP2, move |stream| {
            let last_stream_and_code = [0_u32.to_be_bytes(), code.to_be_bytes()].concat();
            answer_heads(stream, move |_id| Frame::new(Frame::GOAWAY, 0, 0, &last_stream_and_code))
        })
        .await;
        check(&world, leaves.address, AppProtocol::Http2).await;
    }
}

#[tokio::test]
async fn a_connection_that_failed_has_failed_for_all_who_waited() {
    let world = World::new().await;
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let silent = Peer::plain(move |stream| {
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            drop(stream);
        }
    })
    .await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http2, "invoicing", &[silent.address]);
    let requests = join_all((0..4).map(|_| caller.post("invoicing", "x")));
    let hang_up = async {
        let waiting = async || caller.metric("samspill_requests_in_flight", &[("proxy", "outbound")]).await;
        wait_until("all requests wait for the connection", async || waiting().await >= 4).await;
        release.notify_one();
    };
    let (replies, ()) = tokio::join!(requests, hang_up);
    for reply in replies {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("x-samspill-reason"), "connect-failed");
    }
    assert_eq!(silent.accepted(), 1);
}
