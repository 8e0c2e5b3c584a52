//! What a service shows, on a runtime with one worker, which is where exporters hang.

use std::io::Write;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span as SpanMessage;
use prost::Message;
use serde_json::Value as Json;
use tracing::Instrument;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::conventions::attribute;
use crate::otlp;
use crate::span::SpanKind;
use crate::testing::{TestCollector, resource, silent_port};

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

struct Started {
    guard: Guard,
    lines: Lines,
    _default: tracing::subscriber::DefaultGuard,
}

fn start(endpoint: Option<&str>, filter: &str, format: LogFormat) -> Started {
    let settings = Settings {
        resource: resource(),
        otlp_endpoint: endpoint.map(str::to_owned),
        log_filter: filter.to_owned(),
        log_format: format,
    };
    let lines = Lines::default();
    let (subscriber, guard) = subscriber(&settings, lines.clone()).unwrap();
    Started { guard, lines, _default: tracing::subscriber::set_default(subscriber) }
}

fn request(sampled: bool) -> (TraceContext, HeaderMap) {
    let caller = TraceContext::new_root(sampled);
    let mut headers = HeaderMap::new();
    caller.inject(&mut headers);
    (caller, headers)
}

impl Started {
    fn server_span(&self, headers: &HeaderMap) -> Span {
        let spans = self.guard.spans.as_ref();
        spans.map_or_else(Span::none, |spans| extract(headers).span(spans, "GET /v1/invoices/{id}", |_| {}))
    }
}

/// One worker: the test's thread. The guard blocks it while the last spans leave.
#[tokio::test(flavor = "current_thread")]
async fn a_request_is_one_trace_from_the_caller_to_what_a_service_makes_itself() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let (caller, headers) = request(true);
    let served = started.server_span(&headers);
    let place = served.place().unwrap();
    assert_eq!((place.trace_id, place.sampled), (caller.trace_id, true));
    let query = served.child(SpanKind::Client, || "SELECT invoices".into(), |_| {});
    let work = async {
        tracing::info!(cents = 12, "begun");
        let rendering = tracing::info_span!("render", page = 7);
        let work = async {
            tokio::task::yield_now().await;
            tracing::info_span!("header").in_scope(|| tracing::info!("rendered it"));
            inside(&query, None, async { tracing::info_span!("connect").in_scope(|| {}) }).await;
        };
        work.instrument(rendering).await;
        tracing::info!("done");
        tracing::debug!("not for traces");
    };
    inside(&served, None, work).await;
    tracing::info!("not of this trace");
    served.describe(|record| {
        record.set(attribute::HTTP_RESPONSE_STATUS_CODE, 500_u16);
        record.fail("500", "the disk is full");
        record.fail("too late", "the first reason stays");
    });
    drop((served, query));
    drop(started.guard);

    // No waiting: the guard's end means that they have arrived.
    let trace = collector.store.get(&caller.trace_id_hex()).unwrap();
    let span = |name: &str| trace.spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(trace.spans.len(), 5, "{trace:#?}");
    let served = span("GET /v1/invoices/{id}");
    assert_eq!((served.parent_span_id.clone(), served.kind), (Some(caller.span_id_hex()), SpanKind::Server));
    assert_eq!((served.service.as_str(), served.instance.as_str()), ("invoicing", "invoicing-1"));
    assert_eq!((served.status().as_deref(), served.error.as_deref()), (Some("500"), Some("the disk is full")));
    assert_eq!(served.text(attribute::ERROR_TYPE), Some("500"));
    for (child, parent) in [
        ("SELECT invoices", "GET /v1/invoices/{id}"),
        ("render", "GET /v1/invoices/{id}"),
        ("header", "render"),
        ("connect", "SELECT invoices"),
    ] {
        assert_eq!(span(child).parent_span_id.as_ref(), Some(&span(parent).span_id), "{child}");
    }
    // `off` is for lines, not for traces.
    assert_eq!(started.lines.text(), "");
}

/// Its `Debug` logs, and panics.
struct Unwritable;

impl std::fmt::Debug for Unwritable {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("from inside of a line");
        panic!("on purpose")
    }
}

#[test]
fn log_lines_are_kept_with_their_span_up_to_a_number() {
    let (_socket, address) = silent_port();
    let started = start(Some(&address.to_string()), "off", LogFormat::Text);
    let span = started.server_span(&HeaderMap::new());
    span.in_scope(|| {
        tracing::warn!(invoice_id = "7", cents = 12_u64, share = 0.5, ok = true, text = ?Some(1), "paid twice");
        tracing::info_span!("the service's own").in_scope(|| tracing::info!("kept with that one"));
        (0..40).for_each(|_| tracing::info!("again"));
    });
    tracing::info!("outside");
    span.in_scope(|| std::panic::catch_unwind(|| tracing::info!(field = ?Unwritable, "never"))).unwrap_err();
    let mut written = Vec::new();
    span.describe(|record| record.write(&mut written));
    let events = SpanMessage::decode(written.as_slice()).unwrap().events;
    assert_eq!(events.len(), EVENTS_PER_SPAN as usize);
    assert_eq!((events[0].name.as_str(), events[1].name.as_str()), ("paid twice", "again"));
    let text = |text: &str| AnyValue::StringValue(text.to_owned());
    let expected = [
        ("level", text("WARN")),
        ("target", text(module_path!())),
        ("invoice_id", text("7")),
        ("cents", AnyValue::IntValue(12)),
        ("share", AnyValue::DoubleValue(0.5)),
        ("ok", AnyValue::BoolValue(true)),
        ("text", text("Some(1)")),
    ];
    assert_eq!(events[0].attributes, expected.map(|(name, value)| otlp::attribute(name, value)));
}

#[tokio::test]
async fn what_the_edge_did_not_sample_is_not_exported_and_stays_so() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let (caller, headers) = request(false);
    let span = started.server_span(&headers);
    assert!(span.is_none());
    // Not even what the service makes itself.
    let work = async { tracing::info_span!("render").in_scope(current::trace) };
    let inner = inside(&span, extract(&headers).context(), work).await.unwrap();
    assert_eq!((inner.trace_id, inner.sampled), (caller.trace_id, false));
    // One that is sampled leaves after it.
    let (sampled, headers) = request(true);
    drop(started.server_span(&headers));
    drop(started.guard);
    assert!(collector.store.get(&sampled.trace_id_hex()).is_some());
    assert_eq!(collector.store.get(&caller.trace_id_hex()), None);
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one_of_its_own() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let (first, second) = (started.server_span(&HeaderMap::new()), started.server_span(&HeaderMap::new()));
    let [first, second] = [&first, &second].map(|span| span.place().unwrap());
    assert_ne!(first.trace_id, second.trace_id);
    // Nor is work of ours below whoever waits for it on the same thread.
    let outer = tracing::info_span!("somebody else's work");
    let work = async { tracing::info_span!("render").in_scope(current::trace) };
    let served = started.server_span(&HeaderMap::new());
    let inner = inside(&served, None, work).instrument(outer.clone()).await.unwrap();
    assert_eq!(inner.trace_id, served.place().unwrap().trace_id);
    assert_ne!(outer.in_scope(current::trace).unwrap().trace_id, inner.trace_id);
    drop(started);
}

#[tokio::test]
async fn each_log_line_names_its_trace() {
    let (_socket, address) = silent_port();
    let (caller, headers) = request(true);
    for format in [LogFormat::Text, LogFormat::Json] {
        let started = start(Some(&address.to_string()), "info", format);
        let span = started.server_span(&headers);
        tracing::info!(port = 8080, "listening");
        inside(&span, None, async { tracing::warn!(invoice_id = "7", cents = 12_i64, "paid twice") }).await;
        let text = started.lines.text();
        let [outside, inside] = text.lines().collect::<Vec<_>>()[..] else { panic!("two lines expected: {text}") };
        match format {
            LogFormat::Text => {
                let target = module_path!();
                assert!(outside.ends_with(&format!("Z  INFO {target}: listening port=8080")), "{outside}");
                let expected = format!(
                    "Z  WARN {target}: paid twice invoice_id=\"7\" cents=12 trace_id={}",
                    caller.trace_id_hex()
                );
                assert!(inside.ends_with(&expected), "{inside}");
            }
            LogFormat::Json => {
                let outside: Json = serde_json::from_str(outside).unwrap();
                assert_eq!(outside.get("trace_id"), None);
                assert_eq!(outside["port"], Json::from(8080));
                let inside: Json = serde_json::from_str(inside).unwrap();
                assert_eq!(inside["trace_id"], Json::from(caller.trace_id_hex()));
                assert_eq!(inside["span_id"], Json::from(span.place().unwrap().span_id_hex()));
                assert_eq!((&inside["level"], &inside["message"]), (&Json::from("WARN"), &Json::from("paid twice")));
                assert_eq!((&inside["invoice_id"], &inside["cents"]), (&Json::from("7"), &Json::from(12)));
            }
        }
    }
}

#[tokio::test]
async fn lines_of_work_without_a_span_name_the_callers_trace() {
    let started = start(None, "info", LogFormat::Text);
    let (caller, headers) = request(false);
    let work = async {
        tracing::info!("before");
        tokio::task::yield_now().await;
        tracing::info!("after");
    };
    let other = async { tracing::info!("between") };
    tokio::join!(biased; inside(&Span::none(), extract(&headers).context(), work), other);
    let text = started.lines.text();
    let named = format!("trace_id={}", caller.trace_id_hex());
    let names: Vec<bool> = text.lines().map(|line| line.ends_with(&named)).collect();
    assert_eq!(names, [true, false, true], "{text}");
}

#[test]
fn settings_that_make_no_sense_are_refused_in_words() {
    let check = |filter: &str, endpoint: &str, expected: &str| {
        let settings = Settings {
            resource: resource(),
            otlp_endpoint: Some(endpoint.to_owned()),
            log_filter: filter.to_owned(),
            log_format: LogFormat::Text,
        };
        let error = subscriber(&settings, std::io::sink).map(drop).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("info,=,=", "127.0.0.1:4317", "is not a log filter");
    check("info", "https://collector", "a collector is reached by http://");
}
