//! The receiver in the middle: from an exporter, into the store, on to a collector.

use super::*;
use crate::context::TraceContext;
use crate::export;
use crate::testing::{TestCollector, listen, record, resource, silent_port};

#[tokio::test]
async fn jaeger_may_start_later() {
    let (socket, jaeger) = silent_port();
    let receiver = TestCollector::start(Some(jaeger.to_string()));
    let sender = export::spawn(&receiver.endpoint, &resource()).unwrap();
    let root = TraceContext::new_root(true);
    sender.send(&record(&root));
    sender.flush(Duration::from_secs(60)).await.unwrap();
    // Here already, and nobody listens there.
    assert!(receiver.store.get(&root.trace_id_hex()).is_some());

    let jaeger = TestCollector::on(listen(socket), None);
    let first = jaeger.trace(&root, 1).await;
    assert_eq!(first, receiver.trace(&root, 1).await);
    // And from now on at once.
    sender.send(&record(&root.child()));
    assert_eq!(jaeger.trace(&root, 2).await.spans.len(), 2);
}

#[tokio::test]
async fn spans_do_not_go_round() {
    let check = async |host: &str, expected: &str| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let forward = format!("{host}:{}", listener.local_addr().unwrap().port());
        let error = receive(listener, Arc::new(Store::new()), Some(forward)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    for host in ["127.0.0.1", "localhost", "http://127.0.0.1", "0.0.0.0", "[::1]"] {
        check(host, "they would go round for ever").await;
    }
    check("https://127.0.0.1", "a collector is reached by http://").await;
}

#[tokio::test]
async fn spans_without_ids_are_named_to_the_sender() {
    let receiver = Receiver { store: Arc::new(Store::new()), queue: None };
    let span = opentelemetry_proto::tonic::trace::v1::Span { trace_id: vec![1; 16], ..Default::default() };
    let scope = opentelemetry_proto::tonic::trace::v1::ScopeSpans { spans: vec![span], ..Default::default() };
    let group = opentelemetry_proto::tonic::trace::v1::ResourceSpans { scope_spans: vec![scope], ..Default::default() };
    let answer = receiver.export(Request::new(ExportTraceServiceRequest { resource_spans: vec![group] })).await;
    assert_eq!(answer.unwrap().into_inner().partial_success.unwrap().rejected_spans, 1);
}
