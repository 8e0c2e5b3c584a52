//! What a service shows, on a runtime with one worker, which is where exporters hang.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tracing::Instrument;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::conventions::attribute;
use crate::conventions::header::TRACEPARENT;
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

fn server_span(headers: &HeaderMap) -> Span {
    extract(headers).span(|| {
        tracing::info_span!(
            "request",
            otel.name = "GET /v1/invoices/{id}",
            otel.kind = "server",
            otel.status_description = tracing::field::Empty,
            { attribute::HTTP_RESPONSE_STATUS_CODE } = tracing::field::Empty,
        )
    })
}

/// One worker: the test's thread. The guard blocks it while the last spans leave.
#[tokio::test(flavor = "current_thread")]
async fn a_request_is_one_trace_from_the_caller_to_the_database() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let (caller, headers) = request(true);
    let served = server_span(&headers);
    let place = context(&served).unwrap();
    assert_eq!((place.trace_id, place.sampled), (caller.trace_id, true));
    let passed_on = async {
        let query = tracing::info_span!("database", otel.name = "SELECT invoices", otel.kind = "client");
        async { tracing::info!("looked it up") }.instrument(query.clone()).await;
        let mut headers = HeaderMap::new();
        inject(&query, &mut headers);
        query.in_scope(|| TraceContext::parse(&headers).unwrap())
    };
    let passed_on = passed_on.instrument(served.clone()).await;
    served.record(attribute::HTTP_RESPONSE_STATUS_CODE, 500);
    served.record("otel.status_description", "the disk is full");
    drop(served);
    drop(started.guard);

    // No waiting: the guard's end means that they have arrived.
    let trace = collector.store.get(&caller.trace_id_hex()).unwrap();
    let [served, query] = trace.spans.as_slice() else { panic!("two spans expected: {trace:#?}") };
    assert_eq!(served.parent_span_id, Some(caller.span_id_hex()));
    assert_eq!((served.name.as_str(), served.kind), ("GET /v1/invoices/{id}", SpanKind::Server));
    assert_eq!((served.service.as_str(), served.instance.as_str()), ("invoicing", "invoicing-1"));
    assert_eq!((served.status().as_deref(), served.error.as_deref()), (Some("500"), Some("the disk is full")));
    assert_eq!(query.parent_span_id.as_deref(), Some(served.span_id.as_str()));
    assert_eq!((query.name.as_str(), query.kind), ("SELECT invoices", SpanKind::Client));
    assert_eq!((passed_on.trace_id_hex(), passed_on.span_id_hex()), (trace.trace_id.clone(), query.span_id.clone()));
    // `off` is for lines, not for traces.
    assert_eq!(started.lines.text(), "");
}

#[tokio::test]
async fn what_the_edge_did_not_sample_is_not_exported_and_stays_so() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let (caller, headers) = request(false);
    let span = server_span(&headers);
    let mut passed_on = HeaderMap::new();
    inject(&span, &mut passed_on);
    let passed_on = TraceContext::parse(&passed_on).unwrap();
    assert_eq!((passed_on.trace_id, passed_on.sampled), (caller.trace_id, false));
    drop(span);
    // One that is sampled leaves after it.
    let (sampled, headers) = request(true);
    drop(server_span(&headers));
    drop(started.guard);
    assert!(collector.store.get(&sampled.trace_id_hex()).is_some());
    assert_eq!(collector.store.get(&caller.trace_id_hex()), None);
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one_of_its_own() {
    let collector = TestCollector::start(None);
    let started = start(Some(&collector.endpoint), "off", LogFormat::Text);
    let outer = tracing::info_span!("somebody else's work");
    let first = outer.in_scope(|| server_span(&HeaderMap::new()));
    let second = server_span(&HeaderMap::new());
    let [outer, first, second] = [&outer, &first, &second].map(|span| context(span).unwrap());
    assert_ne!(first.trace_id, second.trace_id);
    assert_ne!(first.trace_id, outer.trace_id);
    drop(started);
}

#[tokio::test]
async fn each_log_line_names_its_trace() {
    let (_socket, address) = silent_port();
    let (caller, headers) = request(true);
    for format in [LogFormat::Text, LogFormat::Json] {
        let started = start(Some(&address.to_string()), "info", format);
        let span = server_span(&headers);
        tracing::info!(port = 8080, "listening");
        async { tracing::warn!(invoice_id = "7", cents = 12_i64, "paid twice") }.instrument(span.clone()).await;
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
                assert_eq!(inside["span_id"], Json::from(context(&span).unwrap().span_id_hex()));
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
    tokio::join!(biased; extract(&headers).inside(work), other);
    let text = started.lines.text();
    let named = format!("trace_id={}", caller.trace_id_hex());
    let names: Vec<bool> = text.lines().map(|line| line.ends_with(&named)).collect();
    assert_eq!(names, [true, false, true], "{text}");
}

#[test]
fn without_a_collector_the_callers_trace_is_left_alone() {
    let started = start(None, "info", LogFormat::Text);
    let (_, mut headers) = request(true);
    let before = headers[TRACEPARENT].clone();
    let span = server_span(&headers);
    assert_eq!(context(&span), None);
    inject(&span, &mut headers);
    assert_eq!(headers[TRACEPARENT], before);
    drop(started);
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
