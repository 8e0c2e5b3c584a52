//! How a log line looks: time, level, where, what, and the trace to look it up in.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use opentelemetry::trace::TraceContextExt;
use pin_project_lite::pin_project;
use serde_json::{Map, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::from_opentelemetry;
use crate::context::{TraceContext, to_hex};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: `2026-11-23T10:00:00.000000Z  INFO invoicing: paid invoice_id="7" trace_id=4bf9…`.
    Text,
    /// For programs: one JSON object a line, with `timestamp`, `level`, `target`, `message`, `trace_id`, `span_id` and
    /// the event's own fields.
    Json,
}

/// Writes events as lines.
#[derive(Debug)]
pub(super) struct Lines {
    format: LogFormat,
}

impl Lines {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self.format {
            LogFormat::Text => {
                SystemTime.format_time(&mut line)?;
                let metadata = event.metadata();
                write!(line, " {:>5} {}: ", metadata.level(), metadata.target())?;
                DefaultFields::new().format_fields(line.by_ref(), event)?;
                if let Some(trace) = current() {
                    write!(line, " trace_id={}", trace.trace_id_hex())?;
                }
                writeln!(line)
            }
            LogFormat::Json => writeln!(line, "{}", Json::Object(object(event)?)),
        }
    }
}

fn object(event: &Event<'_>) -> Result<Map<String, Json>, fmt::Error> {
    let mut timestamp = String::new();
    SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
    let metadata = event.metadata();
    let mut fields = Fields(Map::new());
    event.record(&mut fields);
    let mut object = fields.0;
    object.insert("timestamp".to_owned(), timestamp.into());
    object.insert("level".to_owned(), metadata.level().as_str().into());
    object.insert("target".to_owned(), metadata.target().into());
    if let Some(trace) = current() {
        object.insert("trace_id".to_owned(), trace.trace_id_hex().into());
        object.insert("span_id".to_owned(), to_hex(&trace.span_id).into());
    }
    Ok(object)
}

thread_local! {
    /// The trace of the work that is being polled, where no span is made of it.
    static TRACE: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The span that is entered on this thread: the layer for traces keeps OpenTelemetry's idea of it up to date. Or the caller's,
/// if no span is made.
fn current() -> Option<TraceContext> {
    let entered = opentelemetry::Context::map_current(|context| from_opentelemetry(context.span().span_context()));
    entered.or_else(|| TRACE.get())
}

pin_project! {
    /// Work of which no span is made: its lines name a trace all the same. A thread's cell, because OpenTelemetry's context
    /// costs an allocation, which an unsampled request must not.
    pub(super) struct InTrace<F> {
        #[pin]
        work: F,
        trace: Option<TraceContext>,
    }
}

impl<F> InTrace<F> {
    pub(super) fn new(trace: Option<TraceContext>, work: F) -> Self {
        Self { work, trace }
    }
}

impl<F: Future> Future for InTrace<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _outer = Outer(TRACE.replace(*this.trace));
        this.work.poll(context)
    }
}

/// What the cell held before; put back also if the work panics.
struct Outer(Option<TraceContext>);

impl Drop for Outer {
    fn drop(&mut self) {
        TRACE.set(self.0);
    }
}

/// An event's fields as JSON: numbers stay numbers.
struct Fields(Map<String, Json>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Json>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}
