//! Where the SDK hands over a finished span: into our queue, short enough to wait there.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span as SpanMessage;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::export::SpanSender;
use crate::span::cut;

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
    fn on_end(&self, span: SpanData) {
        let mut message = SpanMessage::from(span);
        cut_owned(&mut message.name);
        message.status.iter_mut().for_each(|status| cut_owned(&mut status.message));
        cut_values(&mut message.attributes);
        for event in &mut message.events {
            cut_owned(&mut event.name);
            cut_values(&mut event.attributes);
        }
        self.spans.send_message(&message);
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
        if let Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) = &mut attribute.value {
            cut_owned(text);
        }
    }
}

fn cut_owned(text: &mut String) {
    text.truncate(cut(text).len());
}
