//! What the proxies say of a request, and what nobody else may say.

use http::{Method, StatusCode};
use samspill_model::intent::AppProtocol;

use super::app::App;
use super::call::{HTTP1, HTTP2, Whole, ask, connect, full, http1, http2, to};
use super::world::World;

const EXPECTED: &str =
    "By=spiffe://samspill.local/ns/shop/sa/invoicing;URI=spiffe://samspill.local/ns/shop/sa/parcel-booking";

#[tokio::test]
async fn the_app_is_told_who_has_proven_itself() {
    for protocol in [AppProtocol::Http1, AppProtocol::Http2] {
        let world = World::new().await;
        let app = App::echo().await;
        let callee = world.sidecar("invoicing", app.address, protocol).await;
        let caller = world.caller("parcel-booking").await;
        world.service("invoicing", protocol, "invoicing", &[callee.inbound]);
        let claimed = |request: http::request::Builder| {
            request
                .header("x-forwarded-client-cert", "By=spiffe://samspill.local/ns/shop/sa/invoicing;URI=spiffe://edge")
                .header("X-Forwarded-Client-Cert", "URI=spiffe://another")
                .body(full(""))
                .unwrap()
        };

        // Through a sidecar, which is who proves it.
        for is_http2 in [false, true] {
            let reply = ask(caller.outbound, is_http2, claimed(to(is_http2, "invoicing", "/"))).await.unwrap();
            assert_eq!(reply.status, StatusCode::OK);
        }
        // By a member that has no sidecar, and so says what it likes.
        let is_http2 = protocol == AppProtocol::Http2;
        let alpn = if is_http2 { HTTP2 } else { HTTP1 };
        let stream = connect(&world.identity("parcel-booking"), callee.inbound, "invoicing", alpn).await.unwrap();
        let request = claimed(to(is_http2, "invoicing", "/"));
        let reply = match protocol {
            AppProtocol::Http1 => http1(stream).await.send_request(request).await.unwrap(),
            AppProtocol::Http2 => http2(stream).await.send_request(request).await.unwrap(),
        };
        assert_eq!(Whole::read(reply).await.unwrap().status, StatusCode::OK);

        let seen = app.seen();
        assert_eq!(seen.len(), 3);
        for seen in seen {
            let certs: Vec<_> = seen.head.headers.get_all("x-forwarded-client-cert").iter().collect();
            assert_eq!(certs, [EXPECTED]);
        }
    }
}

#[tokio::test]
async fn what_is_for_one_hop_stays_there_and_the_rest_goes_on() {
    let world = World::new().await;
    let app = App::echo().await;
    let callee = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoicing", AppProtocol::Http1, "invoicing", &[callee.inbound]);

    let request = to(false, "invoicing", "/")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic x")
        .header("x-end-to-end", "1")
        .header("x-end-to-end", "2")
        .header("cookie", "a=1");
    assert_eq!(ask(caller.outbound, false, request.body(full("")).unwrap()).await.unwrap().status, StatusCode::OK);
    let seen = app.seen().pop().unwrap();
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authorization"] {
        assert_eq!(seen.header(gone), "", "{gone}");
    }
    assert_eq!(seen.head.headers.get_all("x-end-to-end").iter().collect::<Vec<_>>(), ["1", "2"]);

    // A caller must not have the identity removed on the way.
    for name in ["x-forwarded-client-cert", "Authorization", "traceparent"] {
        let request = to(false, "invoicing", "/").header("connection", name).body(full("")).unwrap();
        let reply = ask(caller.outbound, false, request).await.unwrap();
        assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::BAD_REQUEST, "malformed"));
    }
    assert_eq!(app.seen().len(), 1);

    // In HTTP/2 cookies may come one by one.
    let request = to(true, "invoicing", "/").method(Method::GET).header("cookie", "a=1").header("cookie", "b=2");
    ask(caller.outbound, true, request.body(full("")).unwrap()).await.unwrap();
    let seen = app.seen().pop().unwrap();
    assert_eq!(seen.head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
}
