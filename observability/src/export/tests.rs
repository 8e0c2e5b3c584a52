//! The exporter against the real receiver, and against collectors that are away.

use serde_json::json;

use super::*;
use crate::context::TraceContext;
use crate::conventions::attribute;
use crate::span::{SpanKind, TEXT_LIMIT_BYTES};
use crate::testing::{TestCollector, listen, record, resource, silent_port};
use crate::traces::Link;

/// More than any test needs; only a hang reaches it.
const GENEROUS: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_span_arrives_as_it_was_sent() {
    let collector = TestCollector::start(None);
    let sender = spawn(&collector.endpoint, &resource()).unwrap();
    let (stranger, root) = (TraceContext::new_root(true), TraceContext::new_root(true));
    let child = root.child();
    let mut span = SpanRecord::new(&child, Some(root.span_id), SpanKind::Client, "POST", 1_700_000_000_000_000_000);
    span.end_unix_nanos += 1_500_000;
    span.set(attribute::SAMSPILL_PROXY, attribute::PROXY_OUTBOUND);
    span.set(attribute::HTTP_RESPONSE_STATUS_CODE, 503_u16);
    span.set("own.flag", true);
    span.error = Some("connection refused".into());
    span.links.push(stranger);
    sender.send(&span);

    let trace = collector.trace(&root, 1).await;
    let found = &trace.spans[0];
    assert_eq!(trace.trace_id, root.trace_id_hex());
    assert_eq!(found.span_id, child.span_id_hex());
    assert_eq!(found.parent_span_id, Some(root.span_id_hex()));
    assert_eq!((found.service.as_str(), found.namespace.as_str()), ("invoicing", "craterate"));
    assert_eq!((found.instance.as_str(), found.version.as_str()), ("invoicing-1", "1.2.3"));
    assert_eq!((found.kind, found.name.as_str(), found.duration_nanos()), (SpanKind::Client, "POST", 1_500_000));
    assert_eq!(found.proxy(), Some("outbound"));
    assert_eq!(found.status().as_deref(), Some("503"));
    assert_eq!(found.attributes["own.flag"], json!(true));
    assert_eq!(found.error.as_deref(), Some("connection refused"));
    assert_eq!(found.links, [Link { trace_id: stranger.trace_id_hex(), span_id: stranger.span_id_hex() }]);
}

#[tokio::test]
async fn a_flush_delivers_all_that_waits() {
    let collector = TestCollector::start(None);
    let sender = spawn(&collector.endpoint, &resource()).unwrap();
    let root = TraceContext::new_root(true);
    let sent = (QUEUE_BYTES / written_bytes()) as u64;
    for _ in 0..sent {
        sender.send(&record(&root.child()));
    }
    assert_eq!(sender.flush(GENEROUS).await, Ok(()));
    // Full to the brim: nothing was dropped.
    assert_eq!(sender.dropped(), 0);
    // The store keeps 2,000 spans of a trace and counts the rest.
    let trace = collector.store.get(&root.trace_id_hex()).unwrap();
    assert_eq!(trace.spans.len() as u64 + trace.dropped_spans, sent);
}

#[tokio::test]
async fn a_dead_collector_costs_bounded_memory_and_no_waiting() {
    let (_socket, address) = silent_port();
    let sender = spawn(&format!("http://{address}"), &resource()).unwrap();
    let root = TraceContext::new_root(true);
    let fit = (QUEUE_BYTES / written_bytes()) as u64;
    let sent = 10 * fit;
    for _ in 0..sent {
        sender.send(&record(&root.child()));
    }
    // What is not dropped is in the queue, or in the one request that is being tried.
    let kept = sent - sender.dropped();
    assert!((fit..=2 * fit).contains(&kept), "{kept} spans are kept, and {fit} fit");
    // The end of the process: said aloud, and over.
    assert_eq!(sender.flush_blocking(GENEROUS), Err(FlushError::Undelivered(kept)));
    assert_eq!(sender.dropped(), sent);
}

#[tokio::test]
async fn a_collector_that_never_answers_stops_no_shutdown() {
    let (socket, address) = silent_port();
    // The kernel accepts, and nobody reads.
    let _listener = listen(socket);
    let sender = spawn(&format!("http://{address}"), &resource()).unwrap();
    sender.send(&record(&TraceContext::new_root(true)));
    let soon = Duration::from_millis(50);
    assert_eq!(sender.flush(soon).await, Err(FlushError::TimedOut));
    assert_eq!(sender.flush_blocking(soon), Err(FlushError::TimedOut));
}

#[tokio::test]
async fn a_collector_that_starts_later_gets_what_waited() {
    let (socket, address) = silent_port();
    let sender = spawn(&address.to_string(), &resource()).unwrap();
    let root = TraceContext::new_root(true);
    for _ in 0..3 {
        sender.send(&record(&root.child()));
    }
    let collector = TestCollector::on(listen(socket), None);
    assert_eq!(collector.trace(&root, 3).await.spans.len(), 3);
    assert_eq!(sender.dropped(), 0);
}

#[tokio::test]
async fn long_spans_are_fewer_and_no_request_is_refused() {
    let collector = TestCollector::start(None);
    let sender = spawn(&collector.endpoint, &resource()).unwrap();
    let root = TraceContext::new_root(true);
    let long = "x".repeat(5 * TEXT_LIMIT_BYTES);
    let (sent, names) = (512, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    for _ in 0..sent {
        let mut span = record(&root.child());
        names.iter().for_each(|name| span.set(name, long.as_str()));
        sender.send(&span);
    }
    assert_eq!(sender.flush(GENEROUS).await, Ok(()));
    let arrived = collector.store.get(&root.trace_id_hex()).unwrap().spans.len();
    assert_eq!(arrived as u64 + sender.dropped(), sent);
    let fit = QUEUE_BYTES / (names.len() * (TEXT_LIMIT_BYTES + 16) + written_bytes());
    assert!(arrived >= fit, "{arrived} spans arrived, and {fit} fit");
}

/// What a [`record`] takes in the queue.
fn written_bytes() -> usize {
    let mut spans = Spans::default();
    spans.push(QUEUE_BYTES, |out| record(&TraceContext::new_root(true)).write(out));
    spans.len()
}
