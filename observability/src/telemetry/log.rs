//! How a log line looks: time, level, where, what, and the trace to look it up in.

use std::fmt;

use samspill_net::clock;
use serde_json::{Map, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::current;
use crate::context::to_hex;
use crate::span;

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
                if let Some(trace) = current::trace() {
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
    if let Some(trace) = current::trace() {
        object.insert("trace_id".to_owned(), trace.trace_id_hex().into());
        object.insert("span_id".to_owned(), to_hex(&trace.span_id).into());
    }
    Ok(object)
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

/// A line, to be kept with the span inside of which it was written. Names are those that tracing-opentelemetry gives.
pub(super) fn kept(event: &Event<'_>) -> span::Event {
    let metadata = event.metadata();
    let mut kept = Kept { event: span::Event::new(clock::unix_nanos()), is_named: false };
    kept.event.set("level", metadata.level().as_str());
    kept.event.set("target", metadata.target());
    event.record(&mut kept);
    if !kept.is_named {
        kept.event.name(metadata.name());
    }
    kept.event
}

/// An event's fields as attributes.
struct Kept {
    event: span::Event,
    is_named: bool,
}

impl Visit for Kept {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => {
                self.event.name(value);
                self.is_named = true;
            }
            name => self.event.set(name, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.event.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.event.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.event.set(field.name(), value),
            Err(_too_large) => self.event.set(field.name(), value.to_string().as_str()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.event.set(field.name(), value);
    }
}
