//! One finished span, and who made it.

use std::borrow::Cow;

use crate::context::TraceContext;
use crate::conventions::{attribute, resource};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text; longer than [`crate::export::TEXT_LIMIT_BYTES`] is cut.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
    /// Any other number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

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

/// Attributes with their names: constants of [`crate::conventions::attribute`], or a log line's own.
pub type Attributes = Vec<(&'static str, Value)>;

/// Something that happened while a span was open: a log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Nanoseconds since 1970.
    pub unix_nanos: u64,
    /// What happened.
    pub name: Cow<'static, str>,
    /// More about it.
    pub attributes: Attributes,
}

/// One finished and sampled span. Making one costs no lock and no thread-local.
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
    /// More about it.
    pub attributes: Attributes,
    /// What happened meanwhile, in its order.
    pub events: Vec<Event>,
    /// Set when the span failed; may be empty when nothing more is known than [`crate::conventions::attribute::ERROR_TYPE`].
    pub error: Option<Cow<'static, str>>,
    /// Spans of other traces that led to this one: at the edge, the stranger's own.
    pub links: Vec<TraceContext>,
}

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
            attributes: Vec::new(),
            events: Vec::new(),
            error: None,
            links: Vec::new(),
        }
    }

    /// Adds one attribute. The caller names none twice.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// Adds one attribute, if its value is known.
    pub fn set_known(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Says that the work failed: why in a word of few values, and in words for people. The first reason stays.
    pub fn fail(&mut self, error_type: impl Into<Value>, message: impl Into<Cow<'static, str>>) {
        if self.error.is_none() {
            self.set(attribute::ERROR_TYPE, error_type);
            self.error = Some(message.into());
        }
    }
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
    use super::*;

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
