//! A trace as it is shown and as the runtime's API gives it: plain data, written as JSON.

use std::collections::{BTreeMap, HashSet};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::{Span as SpanMessage, span, status};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::context::to_hex;
use crate::conventions::{attribute, resource};
use crate::span::SpanKind;

/// One trace: the spans that have arrived, by start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Earliest first; one that started at the same time as its parent follows it.
    pub spans: Vec<Span>,
    /// Spans that arrived and were not kept, because the trace was too long.
    pub dropped_spans: u64,
}

/// One span of a [`Trace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The span that caused this one; none for the root.
    pub parent_span_id: Option<String>,
    /// The workload, or `edge`.
    pub service: String,
    /// The workload's namespace.
    pub namespace: String,
    /// The instance.
    pub instance: String,
    /// The workload's version.
    pub version: String,
    /// The side of the call.
    pub kind: SpanKind,
    /// What was done.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nanos: u64,
    /// What went wrong, if something did; never empty.
    pub error: Option<String>,
    /// By the names of [`crate::conventions::attribute`], and the service's own.
    pub attributes: BTreeMap<String, Json>,
    /// Spans of other traces that led to this one.
    pub links: Vec<Link>,
}

/// A span of another trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
}

/// One line about a trace, for a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// The root span's name, or that of the earliest span while the root has not arrived.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Earliest start to latest end.
    pub duration_nanos: u64,
    /// How many spans have arrived.
    pub spans: usize,
    /// How many of them failed.
    pub errors: usize,
}

impl Trace {
    /// The spans nobody here caused: the root, and those whose parent has not arrived.
    pub fn roots(&self) -> Vec<&Span> {
        let known: HashSet<&str> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        let is_root = |span: &&Span| span.parent_span_id.as_deref().is_none_or(|parent| !known.contains(parent));
        self.spans.iter().filter(is_root).collect()
    }

    /// The earliest start, nanoseconds since 1970.
    pub fn start_unix_nanos(&self) -> u64 {
        self.spans.iter().map(|span| span.start_unix_nanos).min().unwrap_or(0)
    }

    /// Earliest start to latest end.
    pub fn duration_nanos(&self) -> u64 {
        let end = self.spans.iter().map(|span| span.end_unix_nanos).max().unwrap_or(0);
        end.saturating_sub(self.start_unix_nanos())
    }

    /// One line about it.
    pub fn summary(&self) -> Summary {
        let root = self.spans.iter().find(|span| span.parent_span_id.is_none()).or(self.spans.first());
        Summary {
            trace_id: self.trace_id.clone(),
            name: root.map(|span| span.name.clone()).unwrap_or_default(),
            start_unix_nanos: self.start_unix_nanos(),
            duration_nanos: self.duration_nanos(),
            spans: self.spans.len(),
            errors: self.spans.iter().filter(|span| span.error.is_some()).count(),
        }
    }
}

impl Span {
    /// `edge`, `outbound` or `inbound` where a proxy made the span.
    pub fn proxy(&self) -> Option<&str> {
        self.text(attribute::SAMSPILL_PROXY)
    }

    /// The value of a text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Json::as_str)
    }

    /// How the call was answered: `201`, `UNAVAILABLE`.
    pub fn status(&self) -> Option<String> {
        let http = self.attributes.get(attribute::HTTP_RESPONSE_STATUS_CODE).map(Json::to_string);
        http.or_else(|| self.text(attribute::RPC_RESPONSE_STATUS_CODE).map(str::to_owned))
    }

    /// The wall time it took.
    pub fn duration_nanos(&self) -> u64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos)
    }

    pub(super) fn from_message(source: &Source, message: SpanMessage) -> Self {
        let failed = message.status.filter(|status| status.code() == status::StatusCode::Error);
        let attributes: BTreeMap<_, _> = message.attributes.into_iter().map(named).collect();
        let error = failed.map(|status| match attributes.get(attribute::ERROR_TYPE) {
            _ if !status.message.is_empty() => status.message,
            Some(Json::String(kind)) => kind.clone(),
            _ => "failed".to_owned(),
        });
        Self {
            span_id: to_hex(&message.span_id),
            parent_span_id: (!message.parent_span_id.is_empty()).then(|| to_hex(&message.parent_span_id)),
            service: source.service.clone(),
            namespace: source.namespace.clone(),
            instance: source.instance.clone(),
            version: source.version.clone(),
            kind: kind(message.kind),
            name: message.name,
            start_unix_nanos: message.start_time_unix_nano,
            end_unix_nanos: message.end_time_unix_nano,
            error,
            attributes,
            links: message.links.iter().map(link).collect(),
        }
    }
}

/// Who made a span: what the store keeps of a resource, once per request that brought spans.
#[derive(Debug, Default)]
pub(super) struct Source {
    service: String,
    namespace: String,
    instance: String,
    version: String,
}

impl Source {
    pub(super) fn from_message(message: Option<ResourceMessage>) -> Self {
        let mut source = Self::default();
        for (key, value) in message.unwrap_or_default().attributes.into_iter().map(named) {
            let Json::String(value) = value else { continue };
            match key.as_str() {
                resource::SERVICE_NAME => source.service = value,
                resource::SERVICE_NAMESPACE => source.namespace = value,
                resource::SERVICE_INSTANCE_ID => source.instance = value,
                resource::SERVICE_VERSION => source.version = value,
                _ => {}
            }
        }
        source
    }

    pub(super) fn bytes(&self) -> usize {
        self.service.len() + self.namespace.len() + self.instance.len() + self.version.len()
    }
}

fn kind(code: i32) -> SpanKind {
    match span::SpanKind::try_from(code) {
        Ok(span::SpanKind::Server | span::SpanKind::Consumer) => SpanKind::Server,
        Ok(span::SpanKind::Client | span::SpanKind::Producer) => SpanKind::Client,
        Ok(span::SpanKind::Internal | span::SpanKind::Unspecified) | Err(_) => SpanKind::Internal,
    }
}

fn link(message: &span::Link) -> Link {
    Link { trace_id: to_hex(&message.trace_id), span_id: to_hex(&message.span_id) }
}

fn named(pair: KeyValue) -> (String, Json) {
    (pair.key, json(pair.value))
}

fn json(value: Option<AnyValue>) -> Json {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => Json::String(text),
        Some(any_value::Value::BoolValue(flag)) => Json::Bool(flag),
        Some(any_value::Value::IntValue(number)) => Json::from(number),
        Some(any_value::Value::DoubleValue(number)) => Json::from(number),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values.into_iter().map(|value| json(Some(value))).collect::<Vec<_>>().into()
        }
        Some(any_value::Value::KvlistValue(list)) => Json::Object(list.values.into_iter().map(named).collect()),
        Some(any_value::Value::BytesValue(bytes)) => Json::String(to_hex(&bytes)),
        // An index into a table that only profiles have.
        Some(any_value::Value::StringValueStrindex(_)) | None => Json::Null,
    }
}
