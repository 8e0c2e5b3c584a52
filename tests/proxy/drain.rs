//! A sidecar that has to go: what is begun is finished, what comes late is served and sent away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use samspill_model::intent::AppProtocol;
use samspill_testkit::wait_until;
use tokio::sync::Semaphore;

use super::app::{App, text};
use super::call::{HTTP1, HTTP2, Whole, connect, full, h2c, http1, http2, to};
use super::sidecar::{Sidecar, request};
use super::world::World;
use crate::web;

/// An app that answers `/held` when it is told to, and all else at once.
struct Held {
    app: App,
    release: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
}

impl Held {
    async fn start() -> Self {
        let release = Arc::new(Semaphore::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let (permits, count) = (Arc::clone(&release), Arc::clone(&begun));
        let app = App::serving(move |seen| {
            let (permits, count) = (Arc::clone(&permits), Arc::clone(&count));
            async move {
                if seen.head.uri.path() == "/held" {
                    count.fetch_add(1, Ordering::SeqCst);
                    permits.acquire().await.unwrap().forget();
                }
                text(seen.body)
            }
            .boxed()
        })
        .await;
        Self { app, release, begun }
    }

    async fn has_begun(&self) {
        wait_until("the app has the request", async || self.begun.load(Ordering::SeqCst) > 0).await;
    }
}

async fn drain(sidecar: &Sidecar) -> web::Reply {
    let request = http::Request::post("/drain?timeout_seconds=60").body(String::new()).unwrap();
    web::send(sidecar.admin, request).await.unwrap()
}

/// Waits until the sidecar has begun to drain: it tells new connections to close.
async fn is_draining(world: &World, sidecar: &Sidecar) {
    let member = world.identity("parcel-booking");
    let tells_to_close = async || {
        let stream = connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap();
        let reply = web::over(stream, request(Method::GET, "invoicing", "/", "")).await.unwrap();
        reply.header("connection") == "close"
    };
    wait_until("new connections are told to close", tells_to_close).await;
}

#[tokio::test]
async fn a_drain_finishes_http1_and_serves_the_late() {
    let world = World::new().await;
    let held = Held::start().await;
    let sidecar = world.sidecar("invoicing", held.app.address, AppProtocol::Http1).await;
    let member = world.identity("parcel-booking");

    // One connection in the middle of a request, and one idle.
    let mut busy = http1(connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let mut idle = http1(connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let reply = idle.send_request(to(false, "invoicing", "/").body(full("")).unwrap()).await.unwrap();
    assert_eq!(Whole::read(reply).await.unwrap().header("connection"), "");
    let answer = busy.send_request(to(false, "invoicing", "/held").body(full("body")).unwrap());

    let test = async {
        held.has_begun().await;
        let drained = drain(&sidecar);
        let meanwhile = async {
            is_draining(&world, &sidecar).await;
            // Whoever comes late is served. (That new connections were cut was once a matter of luck.)
            for _ in 0..16 {
                let stream = connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap();
                let reply = web::over(stream, request(Method::POST, "invoicing", "/", "late")).await.unwrap();
                assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "late"));
                assert_eq!(reply.header("connection"), "close");
            }
            held.release.add_permits(1);
        };
        let (drained, ()) = tokio::join!(drained, meanwhile);
        drained
    };
    let (drained, answer) = tokio::join!(test, answer);
    let answer = Whole::read(answer.unwrap()).await.unwrap();
    assert_eq!((answer.status, answer.header("connection"), &answer.body[..]), (StatusCode::OK, "close", &b"body"[..]));
    assert_eq!((drained.status, drained.body.as_str()), (StatusCode::OK, "drained\n"));
    assert!(idle.ready().await.is_err(), "the idle connection was closed");
    assert_eq!(sidecar.metric("samspill_connections_open", &[("proxy", "inbound")]).await, 0);
}

#[tokio::test]
async fn a_drain_finishes_http2() {
    let world = World::new().await;
    let held = Held::start().await;
    let sidecar = world.sidecar("invoicing", held.app.address, AppProtocol::Http2).await;
    let member = world.identity("parcel-booking");
    let mut client = http2(connect(&member, sidecar.inbound, "invoicing", HTTP2).await.unwrap()).await;
    let answer = client.send_request(to(true, "invoicing", "/held").body(full("body")).unwrap());

    let mut other = client.clone();
    let test = async {
        held.has_begun().await;
        let drained = drain(&sidecar);
        let meanwhile = async {
            // After GOAWAY nothing new is sent on this connection; before it everything is served.
            let was_sent_away = async || {
                let request = to(true, "invoicing", "/").body(full("")).unwrap();
                match other.try_send_request(request).await {
                    Ok(reply) => assert_eq!(reply.status(), StatusCode::OK),
                    Err(mut error) => return error.take_message().is_some(),
                }
                false
            };
            wait_until("GOAWAY has come", was_sent_away).await;
            // A late connection is served, and sent away.
            let mut late = http2(connect(&member, sidecar.inbound, "invoicing", HTTP2).await.unwrap()).await;
            let request = to(true, "invoicing", "/").method(Method::POST).body(full("late")).unwrap();
            let reply = late.send_request(request).await.unwrap();
            assert_eq!(&Whole::read(reply).await.unwrap().body[..], b"late");
            held.release.add_permits(1);
        };
        let (drained, ()) = tokio::join!(drained, meanwhile);
        drained
    };
    let (drained, answer) = tokio::join!(test, answer);
    let answer = Whole::read(answer.unwrap()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"body"[..]));
    assert_eq!(drained.body, "drained\n");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_so() {
    let world = World::new().await;
    let held = Held::start().await;
    let sidecar = world.sidecar("invoicing", held.app.address, AppProtocol::Http1).await;
    let member = world.identity("parcel-booking");
    let mut busy = http1(connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let answer = busy.send_request(to(false, "invoicing", "/held").body(full("")).unwrap());
    let test = async {
        held.has_begun().await;
        let request = http::Request::post("/drain?timeout_seconds=0").body(String::new()).unwrap();
        let reply = web::send(sidecar.admin, request).await.unwrap();
        assert_eq!(reply.body, "some connections are still open\n");
        held.release.add_permits(1);
    };
    let ((), answer) = tokio::join!(test, answer);
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn sigterm_finishes_both_ways_and_ends_well() {
    for protocol in [AppProtocol::Http1, AppProtocol::Http2] {
        let world = World::new().await;
        let held = Held::start().await;
        let mut callee = world.sidecar("invoicing", held.app.address, protocol).await;
        let mut caller = world.caller("parcel-booking").await;
        world.service("invoicing", protocol, "invoicing", &[callee.inbound]);

        // Requests that are on their way through both, from clients of both kinds.
        let mut client = h2c(caller.outbound).await;
        let first = client.send_request(to(true, "invoicing", "/held").body(full("one")).unwrap());
        let second = web::send(caller.outbound, request(Method::GET, "invoicing", "/held", "two"));
        let stop = async {
            let both = async || held.begun.load(Ordering::SeqCst) == 2;
            wait_until("the app has both requests", both).await;
            callee.terminate();
            caller.terminate();
            // Both have begun to stop: no new connection is accepted by either.
            let is_closed = async || tokio::net::TcpStream::connect(caller.outbound).await.is_err();
            wait_until("the way out is closed", is_closed).await;
            let is_closed = async || tokio::net::TcpStream::connect(callee.inbound).await.is_err();
            wait_until("the way in is closed", is_closed).await;
            held.release.add_permits(2);
        };
        let (first, second, ()) = tokio::join!(first, second, stop);
        assert_eq!(&Whole::read(first.unwrap()).await.unwrap().body[..], b"one");
        let second = second.unwrap();
        assert_eq!((second.status, second.body.as_str()), (StatusCode::OK, "two"));
        assert_eq!(second.header("connection"), "close");
        drop(client);
        assert_eq!(caller.ended().await.code(), Some(0));
        assert_eq!(callee.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_second_sigterm_waits_for_nobody() {
    let world = World::new().await;
    let held = Held::start().await;
    let mut sidecar = world.sidecar("invoicing", held.app.address, AppProtocol::Http1).await;
    let member = world.identity("parcel-booking");
    let mut busy = http1(connect(&member, sidecar.inbound, "invoicing", HTTP1).await.unwrap()).await;
    let answer = busy.send_request(to(false, "invoicing", "/held").body(full("")).unwrap());
    let stop = async {
        held.has_begun().await;
        sidecar.terminate();
        let is_closed = async || tokio::net::TcpStream::connect(sidecar.inbound).await.is_err();
        wait_until("the way in is closed", is_closed).await;
        sidecar.terminate();
        sidecar.ended().await
    };
    let (status, answer) = tokio::join!(stop, answer);
    assert_eq!(status.code(), Some(1));
    assert!(answer.is_err());
}
