//! Traces and logs of a service, set up once.
//!
//! The framework makes [`Span`]s of its own, as a proxy does, for those that every request has. Whoever writes a service uses
//! `tracing`, with OpenTelemetry behind it: what they make hangs below ours. All leave through [`crate::export`], not through
//! the SDK's batch processor: that one deadlocks or hangs where a service has a single worker (opentelemetry-rust#2715,
//! #3176), and two exporters would be two behaviours.
//!
//! Who began a trace has decided whether it is recorded. An unsampled one stays so: its context travels on and nothing is
//! exported.

mod current;

mod log;

mod processor;

mod span;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanLimits};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

pub use current::Inside;
pub use log::LogFormat;
pub use span::Span;

use self::current::Place;
use crate::context::TraceContext;
use crate::export::{self, SpanSender};
use crate::span::{EVENTS_PER_SPAN, Resource, SpanKind, SpanRecord};

/// How long the end of a process may wait for the collector.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// This process's way out for spans.
static SPANS: OnceLock<SpanSender> = OnceLock::new();

/// What is shown, and where it goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are.
    pub resource: Resource,
    /// Where spans go, `http://127.0.0.1:4317`. Without it none are made, and a caller's `traceparent` is all there is.
    pub otlp_endpoint: Option<String>,
    /// Which log lines are written, as in `RUST_LOG`: `info,sqlx=warn`. Spans are made whatever it says.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` cannot be read.
    #[error("`{filter}` is not a log filter; write a level and exceptions, as in info,sqlx=warn")]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser said.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The endpoint is no address, or the machine gives no thread.
    #[error(transparent)]
    Export(#[from] export::SpawnError),
    /// This process has a subscriber already.
    #[error("traces and logs are set up twice in this process")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Holds the way out for spans. Dropping it sends what waits, for 2 s at most.
#[derive(Debug)]
#[must_use = "spans that wait are lost when the guard is dropped too early"]
pub struct Guard {
    spans: Option<SpanSender>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(spans) = &self.spans
            && let Err(error) = spans.flush_blocking(FLUSH_TIMEOUT)
        {
            tracing::warn!("the last spans may be lost: {error}");
        }
    }
}

/// Sets up `tracing` for this process: log lines on stderr, and spans to the collector if one is named.
///
/// # Errors
/// [`InitError`]: bad configuration, or called twice.
pub fn init(settings: &Settings) -> Result<Guard, InitError> {
    let (subscriber, guard) = subscriber(settings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(InitError::Twice)?;
    if let Some(spans) = &guard.spans {
        // The first: the subscriber would have been refused.
        let _first = SPANS.set(spans.clone());
    }
    Ok(guard)
}

/// Where this process's spans go, once [`init`] was told of a collector.
pub fn spans() -> Option<SpanSender> {
    SPANS.get().cloned()
}

/// Holds what [`capture`] has set up.
#[derive(Debug)]
#[must_use = "logs are captured until it is dropped"]
pub struct Captured {
    _lines: tracing::subscriber::DefaultGuard,
}

/// Sets up `tracing` for a test on this thread: log lines go to where libtest captures them, and are shown when the test
/// fails. No spans leave.
///
/// # Errors
/// [`InitError::Filter`].
pub fn capture(log_filter: &str) -> Result<Captured, InitError> {
    let settings = Settings {
        resource: Resource::from_attributes("test", ""),
        otlp_endpoint: None,
        log_filter: log_filter.to_owned(),
        log_format: LogFormat::Text,
    };
    let (subscriber, _no_spans) = subscriber(&settings, tracing_subscriber::fmt::TestWriter::new)?;
    Ok(Captured { _lines: tracing::subscriber::set_default(subscriber) })
}

fn subscriber<W>(settings: &Settings, lines: W) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), InitError>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log_filter)
        .map_err(|source| InitError::Filter { filter: settings.log_filter.clone(), source })?;
    let spans = match &settings.otlp_endpoint {
        Some(endpoint) => Some(export::spawn(endpoint, &settings.resource)?),
        None => None,
    };
    // Both layers filter for themselves: RUST_LOG=error must not end the traces, and h2's own spans are none of ours.
    let traces = spans.clone().map(|spans| {
        let tracer = provider(spans).tracer("samspill");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        current::Placing.and_then(layer).with_filter(LevelFilter::INFO)
    });
    let lines = tracing_subscriber::fmt::layer()
        .event_format(log::Lines::new(settings.log_format))
        .with_ansi(false)
        .with_writer(lines)
        // Lines need no spans: the trace that they name is kept elsewhere.
        .with_filter(filter.and(filter_fn(|metadata| metadata.is_event())));
    Ok((Registry::default().with(traces).with(lines), Guard { spans }))
}

fn provider(spans: SpanSender) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        // Who began the trace has decided; what begins here is wanted.
        .with_sampler(Sampler::parent_based(Sampler::AlwaysOn))
        .with_span_limits(SpanLimits { max_events_per_span: EVENTS_PER_SPAN, ..SpanLimits::default() })
        .with_span_processor(processor::Processor::new(spans))
        .build()
}

/// The caller's place in its trace, if it sent one.
#[derive(Clone, Copy, Debug)]
pub struct Remote(Option<TraceContext>);

/// Reads `traceparent` of a request, strictly ([`TraceContext::parse`]).
pub fn extract(headers: &HeaderMap) -> Remote {
    Remote(TraceContext::parse(headers))
}

impl Remote {
    /// The span of the server that was called: below the caller's, or the root of a new trace if it sent none. None if the
    /// caller's trace is not recorded. `describe` says at once what is known about it.
    pub fn span(
        &self,
        spans: &SpanSender,
        name: impl Into<Cow<'static, str>>,
        describe: impl FnOnce(&mut SpanRecord),
    ) -> Span {
        match &self.0 {
            Some(caller) => Span::below(spans, caller, name, describe),
            None => Span::root(spans, SpanKind::Server, name, describe),
        }
    }

    /// What the caller sent.
    pub fn context(&self) -> Option<TraceContext> {
        self.0
    }
}

/// Does work inside of a span: spans of `tracing` that begin there are below it, log lines name it and are kept with it. Where
/// there is none, `trace` is named, and is what they are below.
pub fn inside<F: Future>(span: &Span, trace: Option<TraceContext>, work: F) -> Inside<F> {
    Inside::new(Place { trace: span.place().or(trace), span: span.clone() }, work)
}

fn to_opentelemetry(context: &TraceContext) -> SpanContext {
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let trace_id = TraceId::from_bytes(context.trace_id);
    SpanContext::new(trace_id, SpanId::from_bytes(context.span_id), flags, true, TraceState::default())
}

fn from_opentelemetry(context: &SpanContext) -> Option<TraceContext> {
    context.is_valid().then(|| TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        sampled: context.is_sampled(),
    })
}

#[cfg(test)]
mod tests;
