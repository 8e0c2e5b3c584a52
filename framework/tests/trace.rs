//! The spans of a service, as a collector receives them. A process of its own: it sets up the process's telemetry.

#![cfg(test)]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use futures_util::StreamExt;
use http::StatusCode;
use samspill::extract::Path;
use samspill::{Call, Channel, Client, Problem, test};
use samspill_net::task;
use samspill_observability::context::TraceContext;
use samspill_observability::span::{Resource, SpanKind};
use samspill_observability::telemetry::{self, LogFormat};
use samspill_observability::traces::{self, Span, Store, Trace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[path = "it/greeter.rs"]
mod greeter;

use self::greeter::{GreeterServer, count, greet};

const GENEROUS: Duration = Duration::from_secs(30);

/// A receiver on a thread and runtime of its own, as in another process. It ends with the test's.
fn collector() -> (String, Arc<Store>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = Arc::new(Store::new());
    let shared = Arc::clone(&store);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(traces::receive(listener, shared, None)).unwrap();
    });
    (endpoint, store)
}

fn span<'a>(trace: &'a Trace, kind: SpanKind, name: &str) -> &'a Span {
    let found: Vec<_> = trace.spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
    let [span] = found[..] else { panic!("not one {kind:?} span `{name}` in {trace:#?}") };
    span
}

fn check(span: &Span, parent: Option<&Span>, attributes: &[(&str, &str)]) {
    if let Some(parent) = parent {
        assert_eq!(span.parent_span_id.as_ref(), Some(&parent.span_id), "{span:#?}");
    }
    for (name, value) in attributes {
        let found =
            span.attributes.get(*name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        assert_eq!(found.as_deref(), Some(*value), "{name} of {span:#?}");
    }
}

async fn book(call: Call, invoicing: Client, greeter: Channel) -> Result<StatusCode, Problem> {
    call.database("INSERT", "bookings", async { Ok::<_, std::io::Error>(1) })
        .await
        .map_err(|e| Problem::internal(&e))?;
    let failed = call.database("UPDATE", "bookings", async { Err::<(), _>(std::io::Error::other("locked")) }).await;
    assert!(failed.is_err());
    invoicing.post(&call, "/v1/invoices/7?draft=1").send().await?.bytes().await?;
    let words: Vec<_> = count(&greeter, &call).await.collect().await;
    assert_eq!(words.len(), 3, "two words and a status");
    assert!(greet(&greeter, &call, "/test.v1.Unknown/Greet", "Ada").await.is_err());
    Ok(StatusCode::CREATED)
}

/// Asks a service on a Unix socket; gives the trace in which that was done.
async fn ask_unix_socket() -> TraceContext {
    let (folder, caller) = (tempfile::tempdir().unwrap(), TraceContext::new_root(true));
    let path = folder.path().join("api.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let router = Router::new()
        .route("/v1/routes", get(async |call: Call| call.trace_id().map(str::to_owned).unwrap_or_default()));
    let serving = task::spawn("api", test::service("controller", []).serve_unix(listener, router));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (trace_id, span_id) = (caller.trace_id_hex(), caller.span_id_hex());
    let request = format!(
        "GET /v1/routes HTTP/1.1\r\nhost: api\r\nconnection: close\r\ntraceparent: 00-{trace_id}-{span_id}-01\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&trace_id), "{answer}");
    serving.abort();
    caller
}

#[tokio::test]
async fn one_request_is_one_trace() {
    let (endpoint, store) = collector();
    let settings = telemetry::Settings {
        resource: Resource { service_name: "shop".into(), ..Resource::default() },
        otlp_endpoint: Some(endpoint),
        log_filter: "warn".into(),
        log_format: LogFormat::Text,
    };
    let guard = telemetry::init(&settings).unwrap();

    let invoices = Router::new()
        .route("/v1/invoices/{id}", post(async |Path(_id): Path<u32>| "7"))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let invoicing = test::Server::start(test::service("invoicing", []).grpc(GreeterServer), invoices).await;
    let invoicing_address = invoicing.address();
    let (client, channel) = (invoicing.client(), invoicing.channel());
    let service = test::service("parcel-booking", [("DATABASE_URL", "sqlite:bookings.db")]);
    let router = Router::new().route("/v1/bookings", post(move |call: Call| book(call, client, channel)));
    let booking = test::Server::start(service, router).await;

    let caller = TraceContext::new_root(true);
    let mut stream = samspill_net::connect::tcp(booking.address(), GENEROUS).await.unwrap();
    let (trace_id, span_id) = (caller.trace_id_hex(), caller.span_id_hex());
    let request = format!(
        "POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ntraceparent: 00-{trace_id}-{span_id}-01\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let call = test::call();
    let outside = booking.client();
    // Not a route: its path is no name for a span. It is in a trace of its own, as is what follows.
    let lost = outside.get(&call, "/v1/bookings/secret-number/x").send().await.unwrap_err();
    let samspill::CallError::Problem(lost) = lost else { panic!("{lost:?}") };
    let broken = invoicing.client().get(&call, "/broken").send().await.unwrap_err();
    let samspill::CallError::Problem(broken) = broken else { panic!("{broken:?}") };

    let unseen = ask_unix_socket().await;

    booking.stop().await;
    invoicing.stop().await;
    let flushed = tokio::time::timeout(GENEROUS, tokio::task::spawn_blocking(move || drop(guard)));
    flushed.await.unwrap().unwrap();

    assert!(store.get(&unseen.trace_id_hex()).is_none(), "a Unix socket's requests make no spans");
    let trace = store.get(&caller.trace_id_hex()).unwrap();
    assert_eq!(trace.spans.len(), 9, "{trace:#?}");
    let served = span(&trace, SpanKind::Server, "POST /v1/bookings");
    assert_eq!(served.parent_span_id, Some(caller.span_id_hex()));
    assert_eq!(served.error, None);
    check(
        served,
        None,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/v1/bookings"),
            ("http.response.status_code", "201"),
            ("url.path", "/v1/bookings"),
            ("url.scheme", "http"),
            ("server.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
        ],
    );
    let inserted = span(&trace, SpanKind::Client, "INSERT bookings");
    let database = [("db.system.name", "sqlite"), ("db.operation.name", "INSERT"), ("db.collection.name", "bookings")];
    check(inserted, Some(served), &database);
    assert_eq!(inserted.error, None);
    let failed = span(&trace, SpanKind::Client, "UPDATE bookings");
    check(failed, Some(served), &[("error.type", "std::io::error::Error")]);
    assert_eq!(failed.error.as_deref(), Some("locked"));
    let called = span(&trace, SpanKind::Client, "POST");
    let url = format!("http://{invoicing_address}/v1/invoices/7?draft=1");
    let port = invoicing_address.port().to_string();
    check(called, Some(served), &[("http.response.status_code", "200"), ("url.full", &url), ("server.port", &port)]);
    let invoice = span(&trace, SpanKind::Server, "POST /v1/invoices/{id}");
    check(invoice, Some(called), &[("http.route", "/v1/invoices/{id}"), ("url.query", "draft=1")]);

    let method = "test.v1.Greeter/Count";
    let status = ("rpc.response.status_code", "RESOURCE_EXHAUSTED");
    let rpc = [("rpc.system.name", "grpc"), ("rpc.method", method), status];
    let counted = span(&trace, SpanKind::Client, method);
    check(counted, Some(served), &rpc);
    assert!(counted.error.is_some(), "the one who called got an error");
    let counts = span(&trace, SpanKind::Server, method);
    check(counts, Some(counted), &rpc);
    assert_eq!(counts.error, None, "and the one who answered did as it should");
    let unknown = span(&trace, SpanKind::Client, "test.v1.Unknown/Greet");
    check(unknown, Some(served), &[("rpc.response.status_code", "UNIMPLEMENTED")]);
    // Only the server knows that there is no such method, and its spans have few names.
    check(span(&trace, SpanKind::Server, "_OTHER"), Some(unknown), &[("rpc.method", "_OTHER")]);

    let lost = store.get(lost.trace_id().unwrap()).unwrap();
    let lost = span(&lost, SpanKind::Server, "GET");
    check(lost, None, &[("http.response.status_code", "404")]);
    assert_eq!((lost.attributes.get("http.route"), lost.error.as_deref()), (None, None), "a 404 is the caller's fault");
    let broken = store.get(broken.trace_id().unwrap()).unwrap();
    let broken = span(&broken, SpanKind::Server, "GET /broken");
    check(broken, None, &[("error.type", "500")]);
    assert!(broken.error.is_some());
}
