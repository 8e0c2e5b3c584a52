//! The exporter against the real receiver, and against collectors that are away.

use serde_json::json;

use super::exporter::BATCH_SPANS;
use super::*;
use crate::context::TraceContext;
use crate::conventions::attribute;
use crate::span::SpanKind;
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
    sender.send(span);

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
    for _ in 0..QUEUE_SPANS {
        sender.send(record(&root.child()));
    }
    assert_eq!(sender.flush(GENEROUS).await, Ok(()));
    // Full to the brim, and the batch at hand is not in the queue: nothing was dropped.
    assert_eq!(sender.dropped(), 0);
    // The store keeps 2,000 spans of a trace and counts the rest.
    let trace = collector.store.get(&root.trace_id_hex()).unwrap();
    assert_eq!(trace.spans.len() as u64 + trace.dropped_spans, QUEUE_SPANS as u64);
}

#[tokio::test]
async fn a_dead_collector_costs_bounded_memory_and_no_waiting() {
    let (_socket, address) = silent_port();
    let sender = spawn(&format!("http://{address}"), &resource()).unwrap();
    let root = TraceContext::new_root(true);
    let sent = 10 * QUEUE_SPANS as u64;
    for _ in 0..sent {
        sender.send(record(&root.child()));
    }
    // What is not dropped is in the queue, or in the one batch that is being tried.
    let kept = sent - sender.dropped();
    assert!(kept <= (QUEUE_SPANS + BATCH_SPANS) as u64, "{kept} spans are kept");
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
    sender.send(record(&TraceContext::new_root(true)));
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
        sender.send(record(&root.child()));
    }
    let collector = TestCollector::on(listen(socket), None);
    assert_eq!(collector.trace(&root, 3).await.spans.len(), 3);
    assert_eq!(sender.dropped(), 0);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let check = |mut text: Cow<'static, str>, expected: usize| {
        cut(&mut text);
        assert_eq!(text.len(), expected);
    };
    check(Cow::Owned("x".repeat(5000)), TEXT_LIMIT_BYTES);
    check(Cow::Owned("ø".repeat(TEXT_LIMIT_BYTES / 2)), TEXT_LIMIT_BYTES);
    check(Cow::Owned(format!("x{}", "ø".repeat(TEXT_LIMIT_BYTES))), TEXT_LIMIT_BYTES - 1);
    check(Cow::Owned("short".to_owned()), 5);
}

#[tokio::test]
async fn a_batch_is_split_where_a_server_would_refuse_it() {
    let collector = TestCollector::start(None);
    let sender = spawn(&collector.endpoint, &resource()).unwrap();
    let root = TraceContext::new_root(true);
    for _ in 0..BATCH_SPANS {
        let mut span = record(&root.child());
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            span.set(name, "x".repeat(TEXT_LIMIT_BYTES));
        }
        sender.send(span);
    }
    assert_eq!(sender.flush(GENEROUS).await, Ok(()));
    assert_eq!(collector.trace(&root, BATCH_SPANS).await.spans.len(), BATCH_SPANS);
}
