//! What no application has seen is tried elsewhere, once, and nothing else is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use samspill_model::intent::AppProtocol;
use samspill_testkit::wait_until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::{Answer, App};
use super::call::HTTP1;
use super::peer::{Peer, read_request};
use super::world::World;

/// Each name is asked once, by a caller that knows nothing of its two endpoints yet, so that either may be tried first: all
/// of them the good one, in one of 17 million runs.
pub(super) const TRIES: u32 = 24;

const APP_UNREACHABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\nx-samspill-reason: app-unreachable\r\ncontent-length: 0\r\n\r\n";

pub(super) fn name(number: u32) -> String {
    format!("service-{number}")
}

/// 10 KiB that are one try's own.
pub(super) fn body(number: u32) -> String {
    format!("{number:010}").repeat(1024)
}

/// Asks a good endpoint and a bad one, under many names: each request must be answered, and be seen whole and once.
pub(super) async fn check(world: &World, bad: SocketAddr, protocol: AppProtocol) {
    let app = App::echo().await;
    let good = world.sidecar("invoicing", app.address, protocol).await;
    let caller = world.caller("parcel-booking").await;
    for number in 0..TRIES {
        world.service(&name(number), protocol, "invoicing", &[bad, good.inbound]);
        let reply = caller.post(&name(number), &body(number)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_eq!(reply.body, body(number));
    }
    assert_eq!(app.bodies(), (0..TRIES).map(body).collect::<Vec<_>>());
    let failed = caller.metric("samspill_requests_total", &[("proxy", "outbound"), ("status", "5xx")]).await;
    assert!(failed > 0, "the bad one was tried");
}

#[tokio::test]
async fn after_a_refused_connection() {
    let world = World::new().await;
    check(&world, world.nobody(), AppProtocol::Http1).await;
}

#[tokio::test]
async fn after_a_refused_connection_in_http2() {
    let world = World::new().await;
    check(&world, world.nobody(), AppProtocol::Http2).await;
}

#[tokio::test]
async fn after_a_failed_handshake() {
    let world = World::new().await;
    let hangs_up = Peer::plain(|stream| async move { drop(stream) }).await;
    check(&world, hangs_up.address, AppProtocol::Http1).await;
    assert!(hangs_up.accepted() > 0);
}

#[tokio::test]
async fn after_a_handshake_with_something_else() {
    let world = World::new().await;
    let speaks_http = Peer::plain(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await);
    })
    .await;
    check(&world, speaks_http.address, AppProtocol::Http1).await;
}

#[tokio::test]
async fn after_a_sidecar_without_its_app() {
    for protocol in [AppProtocol::Http1, AppProtocol::Http2] {
        let world = World::new().await;
        let lonely = world.sidecar("invoicing", world.nobody(), protocol).await;
        check(&world, lonely.inbound, protocol).await;
        let told = lonely.metric("samspill_failures_total", &[("reason", "app-unreachable")]).await;
        assert!(told > 0);
    }
}

#[tokio::test]
async fn after_the_whole_of_a_short_body_was_read() {
    let world = World::new().await;
    let reader = Peer::member(world.identity("invoicing"), HTTP1, |mut stream| async move {
        while let Some((_head, body)) = read_request(&mut stream).await {
            assert_eq!(body.len(), 10 * 1024);
            drop(stream.write_all(APP_UNREACHABLE.as_bytes()).await);
        }
    })
    .await;
    check(&world, reader.address, AppProtocol::Http1).await;
}

#[tokio::test]
async fn a_long_body_is_not_sent_twice() {
    let world = World::new().await;
    let app = App::echo().await;
    let good = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    let reader = Peer::member(world.identity("invoicing"), HTTP1, |mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            drop(stream.write_all(APP_UNREACHABLE.as_bytes()).await);
        }
    })
    .await;
    let mut served = Vec::new();
    let long = |number| body(number).repeat(10);
    for number in 0..TRIES {
        world.service(&name(number), AppProtocol::Http1, "invoicing", &[reader.address, good.inbound]);
        let reply = caller.post(&name(number), &long(number)).await;
        if reply.status == StatusCode::OK {
            served.push(long(number));
        } else {
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
            assert_eq!(reply.header("x-samspill-reason"), "app-unreachable");
            assert_eq!(reply.header("retry-after"), "1");
        }
    }
    assert!(served.len() < TRIES as usize, "the reader was tried");
    assert_eq!(app.bodies(), served);
}

#[tokio::test]
async fn when_nobody_is_left_the_last_reason_is_told() {
    let world = World::new().await;
    let lonely = world.sidecar("invoicing", world.nobody(), AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("gone", AppProtocol::Http1, "invoicing", &[world.nobody()]);
    world.service("lonely", AppProtocol::Http1, "invoicing", &[lonely.inbound]);
    world.service("empty", AppProtocol::Http1, "invoicing", &[]);
    for (service, reason) in [("gone", "connect-failed"), ("lonely", "app-unreachable"), ("empty", "no-ready-endpoint")]
    {
        let reply = caller.post(service, "x").await;
        assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    let reply = caller.post("unheard-of", "x").await;
    assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::NOT_FOUND, "unknown-service"));
}

#[tokio::test]
async fn a_request_waits_a_moment_for_the_first_endpoint() {
    let world = World::new().await;
    let app = App::echo().await;
    let good = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[]);
    let open = async || caller.metric("samspill_connections_open", &[("proxy", "outbound")]).await;
    let before = open().await;
    let becomes_ready = async {
        wait_until("the request has come", async || open().await > before).await;
        world.service("invoicing", AppProtocol::Http1, "invoicing", &[good.inbound]);
    };
    let (reply, ()) = tokio::join!(caller.post("invoicing", "x"), becomes_ready);
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "x"), "{reply:?}");
}

/// A server that reads a request and hangs up, and what it has read.
struct Eater {
    peer: Peer,
    eaten: Arc<Mutex<Vec<String>>>,
}

impl Eater {
    fn eat(eaten: &Mutex<Vec<String>>, body: Vec<u8>) {
        eaten.lock().unwrap().push(String::from_utf8(body).unwrap());
    }

    async fn app() -> Self {
        let eaten: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&eaten);
        let peer = Peer::plain(move |mut stream| {
            let log = Arc::clone(&log);
            async move {
                if let Some((_head, body)) = read_request(&mut stream).await {
                    Self::eat(&log, body);
                }
            }
        })
        .await;
        Self { peer, eaten }
    }

    async fn sidecar(world: &World) -> Self {
        let eaten: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&eaten);
        let peer = Peer::member(world.identity("invoicing"), HTTP1, move |mut stream| {
            let log = Arc::clone(&log);
            async move {
                if let Some((_head, body)) = read_request(&mut stream).await {
                    Self::eat(&log, body);
                }
            }
        })
        .await;
        Self { peer, eaten }
    }
}

#[tokio::test]
async fn what_was_sent_and_lost_is_not_sent_again() {
    let world = World::new().await;
    let caller = world.caller("parcel-booking").await;
    // Two apps that hang up, behind sidecars, and two sidecars that do.
    let apps = [Eater::app().await, Eater::app().await];
    let first = world.sidecar("invoicing", apps[0].peer.address, AppProtocol::Http1).await;
    let second = world.sidecar("invoicing", apps[1].peer.address, AppProtocol::Http1).await;
    let sidecars = [Eater::sidecar(&world).await, Eater::sidecar(&world).await];
    world.service("apps", AppProtocol::Http1, "invoicing", &[first.inbound, second.inbound]);
    world.service("sidecars", AppProtocol::Http1, "invoicing", &sidecars.each_ref().map(|eater| eater.peer.address));
    for (service, eaters) in [("apps", &apps), ("sidecars", &sidecars)] {
        for number in 0..8 {
            let reply = caller.post(service, &body(number)).await;
            assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{reply:?}");
            assert_eq!(reply.header("x-samspill-reason"), "upstream-reset");
        }
        let mut eaten = eaters.iter().flat_map(|eater| eater.eaten.lock().unwrap().clone()).collect::<Vec<_>>();
        eaten.sort_unstable();
        assert_eq!(eaten, (0..8).map(body).collect::<Vec<_>>(), "each was seen once");
    }
}

#[tokio::test]
async fn an_app_that_says_it_was_not_reached_is_not_believed() {
    fn lie() -> Answer {
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        let response = response.header("x-samspill-reason", "app-unreachable");
        response.body(http_body_util::Full::from("a lie").boxed()).unwrap()
    }
    for protocol in [AppProtocol::Http1, AppProtocol::Http2] {
        let world = World::new().await;
        let caller = world.caller("parcel-booking").await;
        let liars = [App::answering(|_| lie()).await, App::answering(|_| lie()).await];
        let first = world.sidecar("invoicing", liars[0].address, protocol).await;
        let second = world.sidecar("invoicing", liars[1].address, protocol).await;
        world.service("invoicing", protocol, "invoicing", &[first.inbound, second.inbound]);
        for number in 1..=8 {
            let reply = caller.post("invoicing", "x").await;
            assert_eq!((reply.status, reply.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "a lie"));
            assert_eq!(reply.header("x-samspill-reason"), "");
            assert_eq!(liars[0].seen().len() + liars[1].seen().len(), number);
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_sent_is_read() {
    let world = World::new().await;
    let lonely = world.sidecar("invoicing", world.nobody(), AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("lonely", AppProtocol::Http1, "invoicing", &[lonely.inbound]);
    for (service, reason) in [("unheard-of", "unknown-service"), ("lonely", "app-unreachable")] {
        // A client as simple as most: it listens when it has said all, which is far more than fits between the two of us.
        let body = "x".repeat(16 << 20);
        // It may be read whole, and then only a client that says so sees the connection end.
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {service}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(caller.outbound).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(&format!("x-samspill-reason: {reason}\r\n")), "{answer}");
    }
}
