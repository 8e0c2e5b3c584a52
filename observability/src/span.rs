//! One span, and who made it.
//!
//! Source: opentelemetry/proto/{common,trace}/v1 of OTLP 1.x, for the numbers of the fields.

use std::borrow::Cow;

use crate::context::TraceContext;
use crate::conventions::{attribute, resource};
use crate::protobuf;

/// Longest text of a name, an attribute or an error, in bytes: a stranger's 60 KiB path must not drive others out.
pub const TEXT_LIMIT_BYTES: usize = 1024;

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text; longer than [`TEXT_LIMIT_BYTES`] is cut.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// Any other number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
}

macro_rules! values {
    ($($from:ty => $value:ident),*) => {$(
        impl<'a> From<$from> for Value<'a> {
            fn from(value: $from) -> Self {
                Self::$value(value.into())
            }
        }
    )*};
}
values!(&'a str => Text, i64 => Number, u16 => Number, u32 => Number, f64 => Real, bool => Flag);

/// Which side of a call a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanKind {
    /// The called side.
    Server,
    /// The calling side: a request sent on, or a call of a database.
    Client,
    /// Work inside of one process.
    Internal,
}

/// One sampled span, finished when it is sent. Making one costs no lock and no thread-local.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// The trace.
    pub trace_id: [u8; 16],
    /// This span.
    pub span_id: [u8; 8],
    /// The span that caused this one; none for the root.
    pub parent_span_id: Option<[u8; 8]>,
    /// The side of the call.
    pub kind: SpanKind,
    /// `{method} {route}` on a server, `{method}` on a client, the full method for gRPC.
    pub name: Cow<'static, str>,
    /// Nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Nanoseconds since 1970; not before the start.
    pub end_unix_nanos: u64,
    /// Set when the span failed; may be empty when nothing more is known than [`crate::conventions::attribute::ERROR_TYPE`].
    pub error: Option<Cow<'static, str>>,
    /// Spans of other traces that led to this one: at the edge, the stranger's own.
    pub links: Vec<TraceContext>,
    /// Attributes and events, as they are sent: so none of them needs memory of its own.
    details: Vec<u8>,
    events: u32,
}

/// Most spans say less of themselves, in bytes.
const DETAILS_BYTES: usize = 512;

impl SpanRecord {
    /// A span at `context` that ends when it starts, has no attributes and did not fail: the rest is filled in.
    pub fn new(
        context: &TraceContext,
        parent_span_id: Option<[u8; 8]>,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        start_unix_nanos: u64,
    ) -> Self {
        Self {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_span_id,
            kind,
            name: name.into(),
            start_unix_nanos,
            end_unix_nanos: start_unix_nanos,
            error: None,
            links: Vec::new(),
            details: Vec::with_capacity(DETAILS_BYTES),
            events: 0,
        }
    }

    /// Adds one attribute. The caller names none twice.
    pub fn set<'a>(&mut self, name: &str, value: impl Into<Value<'a>>) {
        write_attribute(&mut self.details, 9, name, value.into());
    }

    /// Adds one attribute, if its value is known.
    pub fn set_known<'a>(&mut self, name: &str, value: Option<impl Into<Value<'a>>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Says that the work failed: why in a word of few values, and in words for people. The first reason stays.
    pub fn fail(&mut self, error_type: &str, message: impl Into<Cow<'static, str>>) {
        if self.error.is_none() {
            self.set(attribute::ERROR_TYPE, error_type);
            self.error = Some(message.into());
        }
    }

    /// Adds what has just happened, up to [`EVENTS_PER_SPAN`] times.
    pub(crate) fn add(&mut self, event: &Event) {
        if self.events < EVENTS_PER_SPAN {
            self.events += 1;
            protobuf::bytes(&mut self.details, 11, &event.0);
        }
    }

    /// Writes it as a message of OTLP.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        protobuf::bytes(out, 1, &self.trace_id);
        protobuf::bytes(out, 2, &self.span_id);
        if let Some(parent) = &self.parent_span_id {
            protobuf::bytes(out, 4, parent);
        }
        text(out, 5, &self.name);
        protobuf::number(
            out,
            6,
            match self.kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
            },
        );
        protobuf::fixed64(out, 7, self.start_unix_nanos);
        protobuf::fixed64(out, 8, self.end_unix_nanos);
        out.extend_from_slice(&self.details);
        for link in &self.links {
            protobuf::message(out, 13, |out| write_link(out, link));
        }
        if let Some(error) = &self.error {
            protobuf::message(out, 15, |status| {
                text(status, 2, error);
                protobuf::number(status, 3, STATUS_ERROR);
            });
        }
        protobuf::fixed32(out, 16, FLAGS_SAMPLED);
    }
}

/// The flag that says that the trace was sampled.
const FLAGS_SAMPLED: u32 = 0x01;

/// `Status.code` of a span that failed.
const STATUS_ERROR: u64 = 2;

fn write_link(out: &mut Vec<u8>, link: &TraceContext) {
    protobuf::bytes(out, 1, &link.trace_id);
    protobuf::bytes(out, 2, &link.span_id);
    protobuf::fixed32(out, 6, if link.sampled { FLAGS_SAMPLED } else { 0 });
}

/// How many log lines are kept with a span: they wait in the exporter's queue with it.
pub(crate) const EVENTS_PER_SPAN: u32 = 32;

/// Something that happened while a span was open: a log line. Written apart from it, because what writes a line is anybody's
/// code, which may panic, or log.
pub(crate) struct Event(Vec<u8>);

impl Event {
    pub(crate) fn new(unix_nanos: u64) -> Self {
        let mut written = Vec::new();
        protobuf::fixed64(&mut written, 1, unix_nanos);
        Self(written)
    }

    /// What happened.
    pub(crate) fn name(&mut self, name: &str) {
        text(&mut self.0, 2, name);
    }

    /// Adds one attribute.
    pub(crate) fn set<'a>(&mut self, name: &str, value: impl Into<Value<'a>>) {
        write_attribute(&mut self.0, 3, name, value.into());
    }
}

/// One attribute, of the span or of the event whose field it is.
fn write_attribute(out: &mut Vec<u8>, field: u64, name: &str, value: Value<'_>) {
    protobuf::message(out, field, |key_value| {
        protobuf::bytes(key_value, 1, name.as_bytes());
        protobuf::message(key_value, 2, |any_value| match value {
            Value::Text(value) => text(any_value, 1, value),
            Value::Flag(flag) => protobuf::number(any_value, 2, u64::from(flag)),
            Value::Number(value) => protobuf::number(any_value, 3, value.cast_unsigned()),
            Value::Real(value) => protobuf::fixed64(any_value, 4, value.to_bits()),
        });
    });
}

fn text(out: &mut Vec<u8>, field: u64, value: &str) {
    protobuf::bytes(out, field, cut(value).as_bytes());
}

/// A text, up to [`TEXT_LIMIT_BYTES`].
pub(crate) fn cut(text: &str) -> &str {
    if text.len() > TEXT_LIMIT_BYTES { &text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)] } else { text }
}

/// Who makes spans: said once per batch, not per span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The workload, or `edge`.
    pub service_name: String,
    /// The workload's namespace.
    pub service_namespace: String,
    /// The instance.
    pub service_instance_id: String,
    /// The workload's version; may be empty.
    pub service_version: String,
}

impl Resource {
    /// Reads the value of `OTEL_RESOURCE_ATTRIBUTES`: `service.name=invoicing,service.namespace=craterate,…`.
    ///
    /// Values are percent-decoded. `service_name` stands where the text names none; other attributes are not ours.
    pub fn from_attributes(service_name: &str, text: &str) -> Self {
        let mut found = Self { service_name: service_name.to_owned(), ..Self::default() };
        for (key, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
            match key.trim() {
                resource::SERVICE_NAME if !value.is_empty() => found.service_name = value,
                resource::SERVICE_NAMESPACE => found.service_namespace = value,
                resource::SERVICE_INSTANCE_ID => found.service_instance_id = value,
                resource::SERVICE_VERSION => found.service_version = value,
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
    use opentelemetry_proto::tonic::trace::v1::{self as message, status};
    use prost::Message;

    use super::*;
    use crate::otlp;

    #[test]
    fn what_is_written_is_read_by_the_generated_types() {
        let (root, stranger) = (TraceContext::new_root(true), TraceContext::new_root(false));
        let place = root.child();
        let long = "æ".repeat(300); // its lengths need two bytes
        let mut record = SpanRecord::new(&place, Some(root.span_id), SpanKind::Client, "POST", u64::MAX - 1);
        record.end_unix_nanos = u64::MAX;
        record.set("text", long.as_str());
        record.set("number", -1_i64);
        let mut event = Event::new(7);
        event.set("cents", 12_i64);
        event.name("paid");
        record.add(&event);
        record.set("flag", true);
        record.set_known("real", Some(0.5));
        record.set_known("unknown", None::<bool>);
        record.fail("timeout", "");
        record.links.push(stranger);
        let mut written = Vec::new();
        record.write(&mut written);
        let expected = message::Span {
            trace_id: place.trace_id.to_vec(),
            span_id: place.span_id.to_vec(),
            parent_span_id: root.span_id.to_vec(),
            flags: 1,
            name: "POST".into(),
            kind: message::span::SpanKind::Client.into(),
            start_time_unix_nano: u64::MAX - 1,
            end_time_unix_nano: u64::MAX,
            attributes: vec![
                otlp::attribute("text", AnyValue::StringValue(long)),
                otlp::attribute("number", AnyValue::IntValue(-1)),
                otlp::attribute("flag", AnyValue::BoolValue(true)),
                otlp::attribute("real", AnyValue::DoubleValue(0.5)),
                otlp::attribute("error.type", AnyValue::StringValue("timeout".into())),
            ],
            events: vec![message::span::Event {
                time_unix_nano: 7,
                name: "paid".into(),
                attributes: vec![otlp::attribute("cents", AnyValue::IntValue(12))],
                ..message::span::Event::default()
            }],
            links: vec![message::span::Link {
                trace_id: stranger.trace_id.to_vec(),
                span_id: stranger.span_id.to_vec(),
                ..message::span::Link::default()
            }],
            status: Some(message::Status { code: status::StatusCode::Error.into(), message: String::new() }),
            ..message::Span::default()
        };
        assert_eq!(message::Span::decode(written.as_slice()), Ok(expected));

        let mut written = Vec::new();
        SpanRecord::new(&root, None, SpanKind::Server, "", 0).write(&mut written);
        let expected = message::Span {
            trace_id: root.trace_id.to_vec(),
            span_id: root.span_id.to_vec(),
            flags: 1,
            kind: message::span::SpanKind::Server.into(),
            ..message::Span::default()
        };
        assert_eq!(message::Span::decode(written.as_slice()), Ok(expected));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let check = |text: &str, expected: usize| assert_eq!(cut(text).len(), expected);
        check(&"x".repeat(5000), TEXT_LIMIT_BYTES);
        check(&"ø".repeat(TEXT_LIMIT_BYTES / 2), TEXT_LIMIT_BYTES);
        check(&format!("x{}", "ø".repeat(TEXT_LIMIT_BYTES)), TEXT_LIMIT_BYTES - 1);
        check("short", 5);
    }

    #[test]
    fn the_runtimes_variable_is_read() {
        let text = "service.name=invoicing,service.namespace=craterate, service.instance.id=invoicing%2D1 ,host.name=x";
        let expected = Resource {
            service_name: "invoicing".into(),
            service_namespace: "craterate".into(),
            service_instance_id: "invoicing-1".into(),
            service_version: String::new(),
        };
        assert_eq!(Resource::from_attributes("fallback", text), expected);
        assert_eq!(Resource::from_attributes("fallback", "nonsense,=,service.name=").service_name, "fallback");
    }
}
