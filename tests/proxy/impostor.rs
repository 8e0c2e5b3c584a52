//! A server with a valid certificate of the mesh, and another service's identity.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use samspill_model::intent::AppProtocol;
use tokio::io::AsyncReadExt as _;

use super::app::App;
use super::call::{HTTP1, HTTP2, ask, full, to};
use super::peer::Peer;
use super::retry::{TRIES, body, name};
use super::world::World;

/// A member of the mesh that pretends to be another, and how much of a request it was sent.
async fn impostor(world: &World, alpn: &'static [u8]) -> (Peer, Arc<AtomicUsize>) {
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let peer = Peer::member(world.identity("impostor"), alpn, move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut bytes = Vec::new();
            drop(stream.read_to_end(&mut bytes).await);
            count.fetch_add(bytes.len(), Ordering::SeqCst);
        }
    })
    .await;
    (peer, told)
}

#[tokio::test]
async fn an_impostor_is_told_nothing() {
    let world = World::new().await;
    let caller = world.caller("parcel-booking").await;
    for (service, protocol, alpn) in [("invoicing", AppProtocol::Http1, HTTP1), ("tracking", AppProtocol::Http2, HTTP2)]
    {
        let (impostor, told) = impostor(&world, alpn).await;
        world.service(service, protocol, service, &[impostor.address]);
        let reply = caller.post(service, "a secret").await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{reply:?}");
        assert_eq!(reply.header("x-samspill-reason"), "identity-mismatch");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json()["type"], "urn:samspill:identity-mismatch");
        // Nor is the caller told who is there.
        assert!(!reply.body.contains("impostor"), "{reply:?}");

        // In gRPC's own words.
        let request = to(true, service, "/a.B/C").method("POST").header("content-type", "application/grpc");
        let reply = ask(caller.outbound, true, request.body(full("a secret")).unwrap()).await.unwrap();
        assert_eq!((reply.status, reply.header("grpc-status")), (StatusCode::OK, "14"));
        assert_eq!(reply.header("x-samspill-reason"), "identity-mismatch");

        assert_eq!(impostor.accepted(), 2, "one connection for each request");
        assert_eq!(told.load(Ordering::SeqCst), 0);
    }
    let failed = [("proxy", "outbound"), ("result", "failed")];
    assert_eq!(caller.metric("samspill_handshakes_total", &failed).await, 4);
}

#[tokio::test]
async fn beside_an_impostor_the_right_one_is_found() {
    let world = World::new().await;
    let app = App::echo().await;
    let right = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    let (impostor, told) = impostor(&world, HTTP1).await;
    for number in 0..TRIES {
        world.service(&name(number), AppProtocol::Http1, "invoicing", &[impostor.address, right.inbound]);
        let reply = caller.post(&name(number), &body(number)).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, body(number)));
    }
    assert!(impostor.accepted() > 0, "it was tried");
    assert_eq!(told.load(Ordering::SeqCst), 0);
    assert_eq!(app.bodies(), (0..TRIES).map(body).collect::<Vec<_>>());
}
