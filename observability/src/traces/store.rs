//! The last 1,000 traces, in bounded memory.
//!
//! Spans are kept as encoded messages: their size is then known exactly, and a trace is decoded when somebody looks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span as SpanMessage;
use prost::Message;
use tokio::sync::watch;

use super::trace::{Source, Span, Summary, Trace};
use crate::context::to_hex;

/// What a store may grow to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) traces: usize,
    /// All encoded spans, with [`SPAN_OVERHEAD_BYTES`] for each.
    pub(super) bytes: usize,
    pub(super) spans_per_trace: usize,
}

const LIMITS: Limits = Limits { traces: 1000, bytes: 64 * 1024 * 1024, spans_per_trace: 2000 };

/// What a span costs beside its bytes: its place in the list, its share of the maps, the allocator. An upper estimate.
const SPAN_OVERHEAD_BYTES: usize = 128;

type TraceId = [u8; 16];

/// Recent traces. Shared by the receiver, which fills it, and by those who look.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    kept: Mutex<Kept>,
    arrived: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    traces: HashMap<TraceId, Entry>,
    /// By the arrival of the first span, oldest first: the order of eviction.
    order: VecDeque<TraceId>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    spans: Vec<StoredSpan>,
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct StoredSpan {
    source: Arc<Source>,
    message: Box<[u8]>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store: 1,000 traces, 64 MiB, 2,000 spans a trace.
    pub fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self { limits, kept: Mutex::default(), arrived: watch::Sender::new(0) }
    }

    /// The newest trace whose id begins so; `None` for no digits, or for an id that is not (or no more) here.
    pub fn get(&self, id_or_prefix: &str) -> Option<Trace> {
        let prefix = id_or_prefix.to_ascii_lowercase();
        if prefix.is_empty() {
            return None;
        }
        let kept = self.lock();
        let (id, hex) = kept.order.iter().rev().map(|id| (id, to_hex(id))).find(|(_, hex)| hex.starts_with(&prefix))?;
        kept.traces.get(id).map(|entry| entry.decode(hex))
    }

    /// The `count` newest traces, newest first.
    pub fn recent(&self, count: usize) -> Vec<Summary> {
        let kept = self.lock();
        let newest = kept.order.iter().rev().take(count);
        newest.filter_map(|id| kept.traces.get(id).map(|entry| entry.decode(to_hex(id)).summary())).collect()
    }

    /// Changes whenever spans have arrived, to their number since the start: wait on it, then look again.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.arrived.subscribe()
    }

    /// Keeps what can be kept; gives the number of spans without a usable id.
    pub(super) fn insert(&self, request: ExportTraceServiceRequest) -> u64 {
        let (mut seen, mut malformed) = (0, 0);
        {
            let mut kept = self.lock();
            for group in request.resource_spans {
                let source = Arc::new(Source::from_message(group.resource));
                for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    seen += 1;
                    match <TraceId>::try_from(span.trace_id.as_slice()) {
                        Ok(id) if span.span_id.len() == 8 => kept.keep(&self.limits, id, &source, &span),
                        _ => malformed += 1,
                    }
                }
            }
        }
        self.arrived.send_modify(|arrived| *arrived += seen);
        malformed
    }

    /// A panic while the lock was held leaves at worst a trace with a span less.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, limits: &Limits, id: TraceId, source: &Arc<Source>, span: &SpanMessage) {
        let order = &mut self.order;
        let entry = self.traces.entry(id).or_insert_with(|| {
            order.push_back(id);
            Entry::default()
        });
        if entry.spans.len() >= limits.spans_per_trace {
            entry.dropped += 1;
            return;
        }
        let stored = StoredSpan { source: Arc::clone(source), message: span.encode_to_vec().into_boxed_slice() };
        let bytes = stored.bytes();
        entry.bytes += bytes;
        entry.spans.push(stored);
        self.bytes += bytes;
        while self.order.len() > limits.traces || self.bytes > limits.bytes {
            self.evict_oldest();
        }
    }

    fn evict_oldest(&mut self) {
        let oldest = self.order.pop_front().and_then(|id| self.traces.remove(&id));
        self.bytes -= oldest.map_or(self.bytes, |entry| entry.bytes);
    }
}

impl Entry {
    fn decode(&self, trace_id: String) -> Trace {
        let mut seen = HashSet::new();
        let decoded = self.spans.iter().filter_map(StoredSpan::decode);
        // A batch whose answer was lost is sent twice.
        let mut spans: Vec<Span> = decoded.filter(|span| seen.insert(span.span_id.clone())).collect();
        // A stable sort by start alone would put a child before the parent that ended (and was sent) later.
        spans.sort_by_key(|span| (span.start_unix_nanos, std::cmp::Reverse(span.end_unix_nanos)));
        Trace { trace_id, spans, dropped_spans: self.dropped }
    }
}

impl StoredSpan {
    /// The source is counted for each span though a batch shares it: too much rather than too little.
    fn bytes(&self) -> usize {
        self.message.len() + self.source.bytes() + SPAN_OVERHEAD_BYTES
    }

    fn decode(&self) -> Option<Span> {
        SpanMessage::decode(&*self.message).ok().map(|message| Span::from_message(&self.source, message))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

    use super::*;

    const SMALL: Limits = Limits { traces: 3, bytes: usize::MAX, spans_per_trace: usize::MAX };

    fn request(trace: u16, span: u16, name: &str) -> ExportTraceServiceRequest {
        let mut trace_id = vec![0xab; 14];
        trace_id.extend(trace.to_be_bytes());
        let mut span_id = vec![0xcd; 6];
        span_id.extend(span.to_be_bytes());
        let span = SpanMessage { trace_id, span_id, name: name.to_owned(), ..SpanMessage::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
    }

    fn id(trace: u16) -> String {
        format!("{}{trace:04x}", "ab".repeat(14))
    }

    #[test]
    fn the_1001st_trace_evicts_the_oldest() {
        let store = Store::new();
        for trace in 0..1000 {
            store.insert(request(trace, 1, "first"));
        }
        assert!(store.get(&id(0)).is_some());
        // A further span of a trace that is here makes room for nobody.
        store.insert(request(0, 2, "second"));
        assert_eq!(store.get(&id(0)).unwrap().spans.len(), 2);
        store.insert(request(1000, 1, "first"));
        assert_eq!(store.get(&id(0)), None);
        assert!(store.get(&id(1)).is_some());
        assert_eq!(store.recent(usize::MAX).len(), 1000);
        assert_eq!(store.recent(1)[0].trace_id, id(1000));
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let limits = Limits { traces: usize::MAX, bytes: 10_000, spans_per_trace: usize::MAX };
        let store = Store::with_limits(limits);
        let kilobyte = "x".repeat(1000);
        for trace in 0..100 {
            store.insert(request(trace, 1, &kilobyte));
            assert!(store.lock().bytes <= limits.bytes);
        }
        let left: Vec<_> = store.recent(usize::MAX).into_iter().map(|summary| summary.trace_id).collect();
        assert_eq!(left, (92..100).rev().map(id).collect::<Vec<_>>());
        // A span that is too much alone takes all with it, itself included.
        store.insert(request(200, 1, &"x".repeat(20_000)));
        assert_eq!(store.recent(usize::MAX), []);
        assert_eq!(store.lock().bytes, 0);
    }

    #[test]
    fn a_trace_without_end_keeps_its_first_spans() {
        let store = Store::with_limits(Limits { spans_per_trace: 5, ..SMALL });
        for span in 0..8 {
            store.insert(request(1, span, "step"));
        }
        let trace = store.get(&id(1)).unwrap();
        assert_eq!((trace.spans.len(), trace.dropped_spans), (5, 3));
    }

    #[test]
    fn a_trace_is_found_by_the_beginning_of_its_id() {
        let store = Store::with_limits(SMALL);
        store.insert(request(0x1234, 1, "older"));
        store.insert(request(0x12ff, 1, "newer"));
        let name = |prefix: &str| store.get(prefix).map(|trace| trace.spans[0].name.clone());
        assert_eq!(name(&id(0x1234)).as_deref(), Some("older"));
        assert_eq!(name(&id(0x1234).to_uppercase()).as_deref(), Some("older"));
        assert_eq!(name("abab").as_deref(), Some("newer"));
        assert_eq!(name("abac"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn what_comes_twice_is_shown_once_and_what_has_no_id_is_refused() {
        let store = Store::with_limits(SMALL);
        let mut arrived = store.subscribe();
        store.insert(request(1, 1, "once"));
        store.insert(request(1, 1, "once"));
        let mut broken = request(1, 2, "no id");
        broken.resource_spans[0].scope_spans[0].spans[0].trace_id = vec![1; 15];
        assert_eq!(store.insert(broken), 1);
        assert_eq!(store.get(&id(1)).unwrap().spans.len(), 1);
        assert_eq!(*arrived.borrow_and_update(), 3);
    }
}
