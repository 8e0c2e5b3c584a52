//! The span of work that is going on.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use samspill_net::clock;

use super::current::{self, Place};
use crate::context::TraceContext;
use crate::export::SpanSender;
use crate::span::{SpanKind, SpanRecord};

/// A span that has not ended, or none where nothing is recorded. Clones are the same span: it ends, and leaves, with the
/// last of them.
///
/// A framework's span is this, not one of `tracing`, which costs a request as much as everything else that is done with
/// it. Whoever writes a service uses `tracing`: its spans and log lines find their place through
/// [`inside`](super::inside).
#[derive(Clone, Default)]
pub struct Span(pub(super) Option<Arc<Open>>);

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.place()).finish()
    }
}

#[derive(Debug)]
pub(super) struct Open {
    place: TraceContext,
    record: Mutex<SpanRecord>,
    spans: SpanSender,
}

impl Span {
    /// Nothing is recorded.
    pub fn none() -> Self {
        Self(None)
    }

    /// The span inside of which this thread works.
    pub fn current() -> Self {
        current::with(|place| place.span.clone())
    }

    /// The first span of a trace. `describe` says at once what is known about it.
    pub fn root(
        spans: &SpanSender,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        describe: impl FnOnce(&mut SpanRecord),
    ) -> Self {
        Self::open(spans, TraceContext::new_root(true), None, kind, name.into(), describe)
    }

    /// The span of a server, below its caller's. None if the caller's trace is not recorded.
    pub(super) fn below(
        spans: &SpanSender,
        caller: &TraceContext,
        name: impl Into<Cow<'static, str>>,
        describe: impl FnOnce(&mut SpanRecord),
    ) -> Self {
        if !caller.sampled {
            return Self::none();
        }
        Self::open(spans, caller.child(), Some(caller.span_id), SpanKind::Server, name.into(), describe)
    }

    /// A span below this one; none below none.
    pub fn child(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        describe: impl FnOnce(&mut SpanRecord),
    ) -> Self {
        let Some(parent) = &self.0 else { return Self::none() };
        Self::open(&parent.spans, parent.place.child(), Some(parent.place.span_id), kind, name(), describe)
    }

    fn open(
        spans: &SpanSender,
        place: TraceContext,
        parent_span_id: Option<[u8; 8]>,
        kind: SpanKind,
        name: Cow<'static, str>,
        describe: impl FnOnce(&mut SpanRecord),
    ) -> Self {
        let mut record = SpanRecord::new(&place, parent_span_id, kind, name, clock::unix_nanos());
        describe(&mut record);
        Self(Some(Arc::new(Open { place, record: Mutex::new(record), spans: spans.clone() })))
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Its place in its trace.
    pub fn place(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|open| open.place)
    }

    /// Does a step of work inside of it, as [`inside`](super::inside) does the whole.
    pub fn in_scope<T>(&self, step: impl FnOnce() -> T) -> T {
        current::at(&mut Place { trace: self.place(), span: self.clone() }, step)
    }

    /// Says more about it, if there is one.
    pub fn describe(&self, describe: impl FnOnce(&mut SpanRecord)) {
        if let Some(open) = &self.0 {
            describe(&mut open.record());
        }
    }
}

impl Open {
    /// No code of a service runs while it is locked.
    fn record(&self) -> MutexGuard<'_, SpanRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(Open { record, spans, .. }) = self.0.take().and_then(Arc::into_inner) else { return };
        let mut record = record.into_inner().unwrap_or_else(PoisonError::into_inner);
        record.end_unix_nanos = clock::unix_nanos().max(record.start_unix_nanos);
        spans.send(&record);
    }
}
