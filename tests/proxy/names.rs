//! How an app may say whom it calls: by `Host`, by an absolute target, through CONNECT, in HTTP/2.

use http::{Method, StatusCode};
use samspill_model::intent::AppProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::App;
use super::call::{ask, full, http2, to};
use super::sidecar::{Sidecar, request};
use super::world::World;
use crate::web;

async fn mesh(world: &World, app: &App) -> [Sidecar; 3] {
    let http1 = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let http2 = world.sidecar("tracking", app.address, AppProtocol::Http2).await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[http1.inbound]);
    world.service("tracking", AppProtocol::Http2, "tracking", &[http2.inbound]);
    [world.caller("parcel-booking").await, http1, http2]
}

/// Asks for a tunnel; gives the status, and the tunnel if there is one.
async fn tunnel(sidecar: &Sidecar, target: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(sidecar.outbound).await.unwrap();
    // curl puts the target into `Host`, too, others put the proxy.
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[tokio::test]
async fn a_tunnel_leads_to_a_service_and_nowhere_else() {
    let (world, app) = (World::new().await, App::echo().await);
    let [caller, _http1, _http2] = mesh(&world, &app).await;

    for target in ["invoicing:80", "invoicing.shop:80", "invoicing.shop.svc.cluster.local:80"] {
        let (head, stream) = tunnel(&caller, target).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        // What `Host` says inside of the tunnel does not matter: it leads where it leads.
        let reply = web::over(stream, request(Method::POST, "somebody.else", "/path?query", "body")).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "body"));
        let seen = app.seen().pop().unwrap();
        assert_eq!((seen.head.uri.to_string().as_str(), seen.header("host")), ("/path?query", target));
    }

    // gRPC's C core speaks HTTP/2 in its tunnels.
    let (head, stream) = tunnel(&caller, "tracking.shop:80").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let call = to(true, "tracking.shop:80", "/a.B/C").method(Method::POST).body(full("body")).unwrap();
    let reply = http2(stream).await.send_request(call).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(app.seen().pop().unwrap().head.version, http::Version::HTTP_2);

    let before = app.seen().len();
    let elsewhere =
        ["example.com:443", "unheard-of:80", "invoicing:81", "127.0.0.1:80", "[::1]:80", &app.address.to_string()];
    for target in elsewhere {
        let (head, mut stream) = tunnel(&caller, target).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{target}: {head}");
        assert!(head.contains("x-samspill-reason: unknown-service"), "{target}: {head}");
        // What is said into the refused tunnel reaches nobody.
        drop(stream.write_all(b"GET / HTTP/1.1\r\nhost: invoicing\r\nconnection: close\r\n\r\n").await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    let (head, _stream) = tunnel(&caller, "invoicing").await;
    assert!(head.starts_with("HTTP/1.1 400"), "a port must be named: {head}");
    assert!(app.seen().len() <= before + elsewhere.len(), "an ordinary request may follow on the same connection");
}

#[tokio::test]
async fn http_proxy_makes_absolute_targets() {
    let (world, app) = (World::new().await, App::echo().await);
    let [caller, _http1, _http2] = mesh(&world, &app).await;
    for (target, host) in [
        ("http://invoicing/path?query", "invoicing"),
        ("http://invoicing.shop:80/path?query", "invoicing.shop:80"),
        ("http://INVOICING./path?query", "INVOICING."),
    ] {
        let reply = caller.send(request(Method::GET, host, target, "")).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let seen = app.seen().pop().unwrap();
        assert_eq!((seen.head.uri.to_string().as_str(), seen.header("host")), ("/path?query", host));
    }
    // The two must not differ: one of us would believe the one, and one the other.
    let reply = caller.send(request(Method::GET, "tracking", "http://invoicing/", "")).await;
    assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::BAD_REQUEST, "malformed"));
}

#[tokio::test]
async fn either_protocol_reaches_either_service() {
    let (world, app) = (World::new().await, App::echo().await);
    let [caller, _http1, _http2] = mesh(&world, &app).await;
    for is_http2 in [false, true] {
        for (service, version) in [("invoicing", http::Version::HTTP_11), ("tracking", http::Version::HTTP_2)] {
            let call = to(is_http2, service, "/path").method(Method::PUT).body(full("body")).unwrap();
            let reply = ask(caller.outbound, is_http2, call).await.unwrap();
            assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, &b"body"[..]));
            let seen = app.seen().pop().unwrap();
            assert_eq!((seen.head.version, seen.head.uri.path()), (version, "/path"));
            let named = seen.head.uri.host().unwrap_or_else(|| seen.header("host"));
            assert_eq!(named, service);
        }
    }
}

/// The way in is for requests only, even from members of the mesh.
#[tokio::test]
async fn a_sidecar_opens_no_tunnel_to_its_app() {
    let (world, app) = (World::new().await, App::echo().await);
    let [_caller, http1, _http2] = mesh(&world, &app).await;
    let member = world.identity("parcel-booking");
    let mut stream = super::call::connect(&member, http1.inbound, "invoicing", super::call::HTTP1).await.unwrap();
    stream.write_all(b"CONNECT invoicing:80 HTTP/1.1\r\nhost: invoicing:80\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
    assert_eq!(app.seen().len(), 0);
}
