//! Spans as OTLP messages, written field by field: the generated types would copy every name and text first, and measure
//! each message twice.
//!
//! Source: opentelemetry/proto/{common,trace}/v1 and collector/trace/v1, OTLP 1.x, for the fields' numbers; protobuf's
//! "Encoding" page for their form.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use prost::Message;

use super::cut;
use crate::context::TraceContext;
use crate::span::{Event, SpanKind, SpanRecord, Value};

/// The scope of our spans, and the flag that says that the trace was sampled.
const SCOPE: &str = "samspill";
const FLAGS_SAMPLED: u32 = 0x01;

/// `Status.code` of a span that failed.
const STATUS_ERROR: u64 = 2;

/// What a request holds, but for its first lines: the spans.
#[derive(Debug, Default)]
pub(super) struct Spans {
    written: Vec<u8>,
    /// How many they are.
    pub(super) count: u64,
}

impl Spans {
    /// How long they are, in bytes.
    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    /// Adds one, encoded.
    pub(super) fn push(&mut self, span: &[u8]) {
        bytes(&mut self.written, 2, span);
        self.count += 1;
    }

    pub(super) fn clear(&mut self) {
        self.written.clear();
        self.count = 0;
    }

    /// The request, in the name of `resource`.
    pub(super) fn to_request(&self, resource: &ResourceMessage) -> Bytes {
        let scope = InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() };
        let mut request = Vec::with_capacity(self.written.len() + 1024);
        message(&mut request, 1, |resource_spans| {
            message(resource_spans, 1, |out| resource.encode_raw(out));
            message(resource_spans, 2, |scope_spans| {
                message(scope_spans, 1, |out| scope.encode_raw(out));
                scope_spans.extend_from_slice(&self.written);
            });
        });
        request.into()
    }
}

/// Most spans are shorter.
const SPAN_BYTES: usize = 768;

/// One span, encoded.
pub(super) fn span(record: &SpanRecord) -> Vec<u8> {
    let mut written = Vec::with_capacity(SPAN_BYTES);
    write_span(&mut written, record);
    written
}

fn write_span(out: &mut Vec<u8>, span: &SpanRecord) {
    bytes(out, 1, &span.trace_id);
    bytes(out, 2, &span.span_id);
    if let Some(parent) = &span.parent_span_id {
        bytes(out, 4, parent);
    }
    text(out, 5, &span.name);
    number(
        out,
        6,
        match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
    );
    fixed64(out, 7, span.start_unix_nanos);
    fixed64(out, 8, span.end_unix_nanos);
    for (name, value) in &span.attributes {
        message(out, 9, |out| write_attribute(out, name, value));
    }
    for event in &span.events {
        message(out, 11, |out| write_event(out, event));
    }
    for link in &span.links {
        message(out, 13, |out| write_link(out, link));
    }
    if let Some(error) = &span.error {
        message(out, 15, |status| {
            text(status, 2, error);
            number(status, 3, STATUS_ERROR);
        });
    }
    fixed32(out, 16, FLAGS_SAMPLED);
}

fn write_attribute(out: &mut Vec<u8>, name: &str, value: &Value) {
    bytes(out, 1, name.as_bytes());
    message(out, 2, |any_value| match value {
        Value::Text(value) => text(any_value, 1, value),
        Value::Flag(flag) => number(any_value, 2, u64::from(*flag)),
        Value::Number(value) => number(any_value, 3, value.cast_unsigned()),
        Value::Real(value) => fixed64(any_value, 4, value.to_bits()),
    });
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    fixed64(out, 1, event.unix_nanos);
    text(out, 2, &event.name);
    for (name, value) in &event.attributes {
        message(out, 3, |out| write_attribute(out, name, value));
    }
}

fn write_link(out: &mut Vec<u8>, link: &TraceContext) {
    bytes(out, 1, &link.trace_id);
    bytes(out, 2, &link.span_id);
    fixed32(out, 6, if link.sampled { FLAGS_SAMPLED } else { 0 });
}

// Protobuf's wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn fixed32(out: &mut Vec<u8>, field: u64, value: u32) {
    varint(out, field << 3 | FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A stranger's text may be long.
fn text(out: &mut Vec<u8>, field: u64, value: &str) {
    bytes(out, field, cut(value).as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | LENGTH);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message inside of a message. Its length stands before it and is known after it: one byte is kept free, which is enough
/// for most, and the others are moved.
fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, field << 3 | LENGTH);
    let at = out.len();
    out.push(0);
    write(out);
    let end = out.len();
    let length = end - at - 1;
    if let Ok(length @ ..=0x7f) = u8::try_from(length) {
        out[at] = length;
    } else {
        varint(out, length as u64);
        let more_bytes = out.len() - end - 1;
        out[at..].rotate_right(more_bytes + 1);
        out.remove(at + more_bytes + 1);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::{self as message, span as part, status};

    use super::*;
    use crate::otlp;
    use crate::testing::resource;

    fn attribute(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    /// What the generated types read from what was written.
    fn read_back(records: &[SpanRecord]) -> ExportTraceServiceRequest {
        let mut spans = Spans::default();
        records.iter().for_each(|record| spans.push(&span(record)));
        assert_eq!(spans.count, records.len() as u64);
        let request = spans.to_request(&otlp::resource_message(&resource()));
        ExportTraceServiceRequest::decode(request).unwrap()
    }

    #[test]
    fn a_span_is_read_back_by_the_generated_types() {
        let (root, stranger) = (TraceContext::new_root(true), TraceContext::new_root(false));
        let place = root.child();
        let long = "æ".repeat(300); // its lengths need two bytes
        let mut record = SpanRecord::new(&place, Some(root.span_id), SpanKind::Client, "POST", u64::MAX - 1);
        record.end_unix_nanos = u64::MAX;
        record.set("text", long.clone());
        record.set("number", -1_i64);
        record.set("flag", true);
        record.attributes.push(("real", Value::Real(0.5)));
        record.events.push(Event { unix_nanos: 7, name: "paid".into(), attributes: vec![("cents", 12_i64.into())] });
        record.error = Some("".into());
        record.links.push(stranger);
        let bare = SpanRecord::new(&root, None, SpanKind::Server, "", 0);

        let request = read_back(&[record, bare]);
        let [resource_spans] = request.resource_spans.as_slice() else { panic!("{request:?}") };
        assert_eq!(resource_spans.resource, Some(otlp::resource_message(&resource())));
        let [scope_spans] = resource_spans.scope_spans.as_slice() else { panic!("{request:?}") };
        assert_eq!(scope_spans.scope.as_ref().unwrap().name, SCOPE);
        let expected = message::Span {
            trace_id: place.trace_id.to_vec(),
            span_id: place.span_id.to_vec(),
            parent_span_id: root.span_id.to_vec(),
            flags: 1,
            name: "POST".into(),
            kind: part::SpanKind::Client.into(),
            start_time_unix_nano: u64::MAX - 1,
            end_time_unix_nano: u64::MAX,
            attributes: vec![
                attribute("text", any_value::Value::StringValue(long)),
                attribute("number", any_value::Value::IntValue(-1)),
                attribute("flag", any_value::Value::BoolValue(true)),
                attribute("real", any_value::Value::DoubleValue(0.5)),
            ],
            events: vec![part::Event {
                time_unix_nano: 7,
                name: "paid".into(),
                attributes: vec![attribute("cents", any_value::Value::IntValue(12))],
                ..part::Event::default()
            }],
            links: vec![part::Link {
                trace_id: stranger.trace_id.to_vec(),
                span_id: stranger.span_id.to_vec(),
                ..part::Link::default()
            }],
            status: Some(message::Status { code: status::StatusCode::Error.into(), message: String::new() }),
            ..message::Span::default()
        };
        let bare = message::Span {
            trace_id: root.trace_id.to_vec(),
            span_id: root.span_id.to_vec(),
            flags: 1,
            kind: part::SpanKind::Server.into(),
            ..message::Span::default()
        };
        assert_eq!(scope_spans.spans, [expected, bare]);
    }
}
