//! One booking is one trace, followed from the edge to the last database call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use samspill_testkit::wait_until;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::load::{book, parcel};
use crate::mesh::{Mesh, root};
use crate::web;

/// An OTLP/gRPC collector: what Jaeger would be sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    kind: i32,
    service: String,
    proxy: String,
    name: String,
    is_database: bool,
    links: Vec<String>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let mut spans = self.0.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let service = attribute(&resource.resource.unwrap_or_default().attributes, "service.name");
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: span.kind,
                    service: service.clone(),
                    proxy: attribute(&span.attributes, "samspill.proxy"),
                    name: span.name,
                    is_database: !attribute(&span.attributes, "db.operation.name").is_empty(),
                    links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
                });
            }
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, endpoint)
    }

    fn trace(&self, id: &str) -> BTreeSet<Span> {
        self.0.lock().unwrap().iter().filter(|span| span.trace == id).cloned().collect()
    }
}

#[tokio::test]
async fn one_booking_is_twenty_spans_and_those_of_the_databases() {
    let (collector, endpoint) = Collector::start().await;
    let mesh = Mesh::up(&root().join("examples/craterate"), &["--otlp-endpoint", &endpoint]).await;

    // A stranger's trace is linked, not continued; their claims reach nobody.
    let strangers = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::post("/api/parcel-booking/v1/bookings")
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{strangers}-b7ad6b7169203331-00"));
    let reply = web::send(mesh.edge, request.body(parcel().to_string()).unwrap()).await.unwrap();
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let id = reply.header("traceresponse").split('-').nth(1).unwrap().to_owned();
    assert_ne!(id, strangers);

    let services = |spans: &BTreeSet<Span>| spans.iter().filter(|span| !span.is_database).count();
    wait_until("all spans of the booking have come", async || services(&collector.trace(&id)) >= 20).await;
    let spans = collector.trace(&id);
    assert_eq!(services(&spans), 20, "{spans:#?}");

    // Each has its parent in the trace, but the root.
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!((roots[0].service.as_str(), roots[0].proxy.as_str()), ("edge", "edge"));
    assert_eq!(roots[0].links, [strangers]);
    assert!(spans.iter().all(|span| span.parent.is_empty() || by_id.contains_key(span.parent.as_str())), "{spans:#?}");

    // Each call is the same chain of parents: framework, outbound, inbound, framework.
    let (server, client) = (SpanKind::Server as i32, SpanKind::Client as i32);
    for callee in ["shipping-cost-calculator", "parcel-tracking", "invoicing", "statistics"] {
        let chain = [
            (callee, "", server),
            (callee, "inbound", server),
            ("parcel-booking", "outbound", client),
            ("parcel-booking", "", client),
            ("parcel-booking", "", server),
            ("parcel-booking", "inbound", server),
            ("edge", "edge", client),
            ("edge", "edge", server),
        ];
        let is_callee = |span: &&Span| span.service == callee && span.proxy.is_empty() && span.kind == server;
        let mut span = *spans.iter().filter(is_callee).collect::<Vec<_>>().first().expect(callee);
        for (depth, (service, proxy, kind)) in chain.into_iter().enumerate() {
            let found = (span.service.as_str(), span.proxy.as_str(), span.kind);
            assert_eq!(found, (service, proxy, kind), "{callee} at {depth}");
            match by_id.get(span.parent.as_str()) {
                Some(parent) => span = parent,
                None => assert_eq!(depth, chain_end(&chain)),
            }
        }
    }
    let databases: BTreeSet<&str> =
        spans.iter().filter(|span| span.is_database).map(|span| span.service.as_str()).collect();
    assert_eq!(databases, BTreeSet::from(["invoicing", "parcel-booking", "parcel-tracking", "statistics"]));

    // The same trace in the terminal.
    let waterfall = mesh.said(&["trace", &id]);
    for word in ["edge", "outbound", "inbound", "parcel-booking", "INSERT", "ms"] {
        assert!(waterfall.contains(word), "{word} in:\n{waterfall}");
    }
    let unknown = mesh.samspill(&["trace", "00000000000000000000000000000001"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn a_dead_collector_costs_no_request() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = format!("http://{nobody}");
    let mesh = Mesh::up(&root().join("examples/craterate"), &["--otlp-endpoint", &endpoint]).await;
    for count in 0..20 {
        let reply = book(mesh.edge, &format!("dead-{count}")).await.unwrap();
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }
}

fn chain_end<T>(chain: &[T]) -> usize {
    chain.len() - 1
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
