//! Where the SDK hands over a finished span: into our queue, short enough to wait there.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::export::{Outgoing, SpanSender, cut};

#[derive(Debug)]
pub(super) struct Processor {
    spans: SpanSender,
}

impl Processor {
    pub(super) fn new(spans: SpanSender) -> Self {
        Self { spans }
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    /// Called for sampled spans only.
    fn on_end(&self, mut span: SpanData) {
        cut(&mut span.name);
        if let Status::Error { description } = &mut span.status {
            cut(description);
        }
        cut_values(&mut span.attributes);
        for event in &mut span.events.events {
            cut(&mut event.name);
            cut_values(&mut event.attributes);
        }
        self.spans.queue(Outgoing::Service(Box::new(span)));
    }

    /// The SDK is never asked to flush: [`super::Guard`] flushes the queue itself.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn cut_values(attributes: &mut [KeyValue]) {
    for attribute in attributes {
        if let Value::String(text) = &attribute.value
            && text.as_str().len() > crate::export::TEXT_LIMIT_BYTES
        {
            let mut text = Cow::Owned(text.as_str().to_owned());
            cut(&mut text);
            attribute.value = Value::from(text);
        }
    }
}
