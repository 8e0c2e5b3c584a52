//! What a proxy tells about itself: readiness, metrics, spans.

use http::{Method, StatusCode};
use samspill_model::intent::AppProtocol;
use samspill_model::name::InstanceName;
use samspill_model::snapshot::{Inbound, InboundPort};
use samspill_observability::span::SpanKind;
use samspill_observability::traces::Trace;
use samspill_testkit::wait_until;
use std::collections::BTreeMap;

use super::app::App;
use super::grpc;
use super::sidecar::{Sidecar, request};
use super::world::{CONTAINER_PORT, World};
use crate::web;

#[tokio::test]
async fn ready_means_an_identity_and_a_configuration() {
    let world = World::new().await;
    let sidecar = world.start("invoicing");
    let waiting = web::get(sidecar.admin, "/readyz").await.unwrap();
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE, "{waiting:?}");
    assert_eq!(web::get(sidecar.admin, "/livez").await.unwrap().status, StatusCode::OK);

    // A configuration in which it does not occur is none.
    world.publish(|snapshot| {
        snapshot.inbound.insert(InstanceName("another".to_owned()), Inbound::default());
    });
    world.acknowledged().await;
    assert_eq!(web::get(sidecar.admin, "/readyz").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);

    world.publish(|snapshot| {
        let port = InboundPort { app: world.nobody(), protocol: AppProtocol::Http1 };
        snapshot.inbound.insert(sidecar.instance.clone(), Inbound { ports: BTreeMap::from([(CONTAINER_PORT, port)]) });
    });
    sidecar.ready().await;
    let refused = web::post(sidecar.admin, "/readyz", &serde_json::json!({})).await.unwrap();
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn pair(world: &World, app: &App, protocol: AppProtocol) -> (Sidecar, Sidecar) {
    let callee = world.sidecar("invoicing", app.address, protocol).await;
    let caller = world.caller("parcel-booking").await;
    world.service("invoices", protocol, "invoicing", &[callee.inbound]);
    (caller, callee)
}

#[tokio::test]
async fn metrics_say_who_called_whom() {
    let world = World::new().await;
    let app = App::echo().await;
    let (caller, callee) = pair(&world, &app, AppProtocol::Http1).await;
    for _ in 0..3 {
        assert_eq!(caller.get("invoices", "/").await.status, StatusCode::OK);
    }
    assert_eq!(caller.get("unheard-of", "/").await.status, StatusCode::NOT_FOUND);

    let out = [("proxy", "outbound"), ("source", "shop/parcel-booking"), ("destination", "shop/invoices")];
    let into = [("proxy", "inbound"), ("source", "shop/parcel-booking"), ("destination", "shop/invoicing")];
    for (sidecar, labels) in [(&caller, &out), (&callee, &into)] {
        let with_status = [labels.as_slice(), &[("status", "2xx")]].concat();
        // A request is counted at the end of its answer, which its caller may see first.
        let counted = async || sidecar.metric("samspill_requests_total", &with_status).await;
        wait_until("all requests are counted", async || counted().await >= 3).await;
        assert_eq!(counted().await, 3);
        assert_eq!(sidecar.metric("samspill_request_duration_seconds_count", labels).await, 3);
        assert_eq!(sidecar.metric("samspill_requests_in_flight", labels).await, 0);
    }
    // One connection for all three, and it is kept.
    for (sidecar, side) in [(&caller, "outbound"), (&callee, "inbound")] {
        let handshakes = [("proxy", side), ("result", "ok")];
        assert_eq!(sidecar.metric("samspill_handshakes_total", &handshakes).await, 1);
    }
    assert_eq!(callee.metric("samspill_connections_open", &[("proxy", "inbound")]).await, 1);
    assert_eq!(caller.metric("samspill_failures_total", &[("reason", "unknown-service")]).await, 1);

    let metrics = web::get(caller.admin, "/metrics").await.unwrap();
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics:?}");
    assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
}

fn traced(id: u128, is_sampled: bool) -> String {
    format!("00-{id:032x}-b7ad6b7169203331-{:02x}", u8::from(is_sampled))
}

async fn trace(world: &World, id: u128, spans: usize) -> Trace {
    let find = || world.traces.get(&format!("{id:032x}"));
    let is_whole = async || find().is_some_and(|trace| trace.spans.len() >= spans);
    wait_until("all spans have come", is_whole).await;
    find().unwrap()
}

#[tokio::test]
async fn what_is_not_sampled_passes_and_leaves_no_span() {
    for protocol in [AppProtocol::Http1, AppProtocol::Http2] {
        let world = World::new().await;
        let app = App::echo().await;
        let (caller, _callee) = pair(&world, &app, protocol).await;
        for (id, is_sampled) in [(1, false), (2, true)] {
            let mut request = request(Method::GET, "invoices", "/path?query", "");
            let headers = request.headers_mut();
            headers.insert("traceparent", traced(id, is_sampled).parse().unwrap());
            headers.insert("tracestate", "vendor=1".parse().unwrap());
            headers.insert("baggage", "user=2".parse().unwrap());
            assert_eq!(caller.send(request).await.status, StatusCode::OK);
        }
        let seen = app.seen();
        for seen in &seen {
            assert_eq!((seen.header("tracestate"), seen.header("baggage")), ("vendor=1", "user=2"));
        }
        assert_eq!(seen[0].header("traceparent"), traced(1, false), "as it came");

        // Of the sampled one: the caller's CLIENT, in it the SERVER, and in that whatever the app does.
        let spans = trace(&world, 2, 2).await.spans;
        assert_eq!(spans.len(), 2, "{spans:#?}");
        let of = |kind| spans.iter().find(|span| span.kind == kind).unwrap();
        let (client, server) = (of(SpanKind::Client), of(SpanKind::Server));
        assert_eq!((client.service.as_str(), client.proxy()), ("parcel-booking", Some("outbound")));
        assert_eq!((server.service.as_str(), server.proxy()), ("invoicing", Some("inbound")));
        assert_eq!(client.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(server.parent_span_id.as_ref(), Some(&client.span_id));
        assert_eq!(seen[1].header("traceparent"), format!("00-{:032x}-{}-01", 2, server.span_id));
        let version = if protocol == AppProtocol::Http2 { "2" } else { "1.1" };
        for span in [client, server] {
            assert_eq!(span.text("http.request.method"), Some("GET"));
            assert_eq!(span.text("url.path"), Some("/path"));
            assert_eq!(span.text("network.protocol.version"), Some(version));
            assert_eq!((span.status().as_deref(), span.error.as_ref()), (Some("200"), None));
        }
        let peer = server.text("samspill.peer.identity");
        assert_eq!(peer, Some("spiffe://samspill.local/ns/shop/sa/parcel-booking"));

        // Spans leave each proxy in their order: those of the first would have come before these.
        assert!(world.traces.get(&format!("{:032x}", 1)).is_none());
    }
}

#[tokio::test]
async fn every_attempt_has_a_span_and_a_call_without_a_trace_begins_one() {
    let world = World::new().await;
    let echo = world.sidecar("echo", grpc::serve().await, AppProtocol::Http2).await;
    let caller = world.caller("parcel-booking").await;
    world.service("nobody", AppProtocol::Http1, "invoicing", &[world.nobody(), ([127, 0, 0, 1], 1).into()]);
    world.service("echo", AppProtocol::Http2, "echo", &[echo.inbound]);

    let mut request = request(Method::GET, "nobody", "/", "");
    request.headers_mut().insert("traceparent", traced(3, true).parse().unwrap());
    assert_eq!(caller.send(request).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let spans = trace(&world, 3, 2).await.spans;
    let resends: Vec<_> = spans.iter().map(|span| span.attributes.get("http.request.resend_count")).collect();
    assert_eq!(spans.len(), 2);
    assert_eq!(resends.iter().filter(|resend| resend.is_none()).count(), 1, "{resends:?}");
    for span in &spans {
        assert_eq!((span.kind, span.text("error.type")), (SpanKind::Client, Some("connect-failed")));
    }

    // gRPC: the status of the call is in the trailers, and both sides see it.
    let mut client = grpc::client(caller.outbound, "echo");
    client.ready().await.unwrap();
    let words =
        client.server_streaming(tonic::Request::new(format!("a {}", grpc::FAIL)), grpc::SERVER, grpc::Text).await;
    let mut words = words.unwrap().into_inner();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(words.message().await.unwrap_err().code(), tonic::Code::FailedPrecondition);
    let begun = || world.traces.recent(8).into_iter().find(|trace| trace.name == "test.Echo/Server");
    wait_until("the new trace has come", async || begun().is_some_and(|trace| trace.spans == 2)).await;
    let trace = world.traces.get(&begun().unwrap().trace_id).unwrap();
    for span in &trace.spans {
        assert_eq!(span.text("rpc.response.status_code"), Some("FAILED_PRECONDITION"), "{span:#?}");
        // What the caller has done wrong is an error for it, and none of the server's.
        assert_eq!(span.error.is_some(), span.kind == SpanKind::Client, "{span:#?}");
    }
}
