//! One connection, from its first byte to its last.
//!
//! Phases: which HTTP is it (an unanswerable connection is closed) → the gate (a malformed request is answered with a
//! problem) → the app → the next request, until one side has had enough or the drain ends it.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use samspill_net::Quiet;
use samspill_net::drain::DrainWatch;
use samspill_net::gate::{self, Http1Guard, HttpVersion, Malformed, Prefixed, Verdict};
use tokio::io::{AsyncRead, AsyncWrite};

use super::app::{self, App};
use super::limits::{self, LAST_CALL, MAX_STREAMS, PING_INTERVAL, PING_TIMEOUT};
use super::traffic::Traffic;
use super::tunnel::Held;

/// Serves a connection until it ends.
pub(super) async fn serve<IO>(io: IO, app: App, drain: DrainWatch)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let detected = tokio::select! {
        detected = gate::detect(io, limits::head().header_deadline) => detected,
        () = last_call(&drain) => return,
    };
    let served = match detected {
        Ok((HttpVersion::Http1, io)) => serve_http1(io, app, &drain).await,
        Ok((HttpVersion::Http2, io)) => serve_http2(io, Arc::new(app), &drain).await,
        Err(error) => {
            tracing::debug!(%error, "a connection said nothing that we can answer");
            return;
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %samspill_observability::chain(&error), "a connection broke");
    }
}

async fn last_call(drain: &DrainWatch) {
    drain.started().await;
    tokio::time::sleep(LAST_CALL).await;
}

async fn serve_http1<IO>(io: Prefixed<IO>, app: App, drain: &DrainWatch) -> Result<(), hyper::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, verdict) = Http1Guard::new(io, limits::head());
    let traffic = Arc::new(Traffic::default());
    let io = Held::new(io, verdict.clone(), drain.clone(), Arc::clone(&traffic));
    let service = service_fn(|request: Request<Incoming>| {
        traffic.begin();
        answer(&app, Some(&verdict), request).inspect(|_answer| traffic.answer())
    });
    // The guard has a deadline for a head, and the traffic for what comes between: hyper makes a timer with each request.
    let connection =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(io), service).with_upgrades();
    let may_end = async {
        tokio::select! {
            () = traffic.drained(drain) => {}
            () = traffic.ceased() => {}
        }
    };
    serve_until(may_end, connection, |connection| connection.graceful_shutdown()).await
}

async fn serve_http2<IO>(io: Prefixed<IO>, app: Arc<App>, drain: &DrainWatch) -> Result<(), hyper::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let traffic = Traffic::default();
    let service = service_fn(|request: Request<Incoming>| {
        traffic.begin();
        let app = Arc::clone(&app);
        async move { answer(&app, None, request).await }
    });
    let max_head = u32::try_from(limits::head().head_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(max_head)
        .serve_connection(TokioIo::new(io), service);
    serve_until(traffic.drained(drain), connection, |connection| connection.graceful_shutdown()).await
}

/// Serves until the connection ends, or may end: then what is begun on it is finished.
async fn serve_until<C>(
    may_end: impl Future<Output = ()>,
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> Result<(), hyper::Error>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        served = connection.as_mut() => return served,
        () = Quiet::new(may_end) => shut_down(connection.as_mut()),
    }
    connection.await
}

/// Answers one request: a malformed one here, any other in the app. `verdict` is the gate's word on it, for HTTP/1.
fn answer(
    app: &App,
    verdict: Option<&Verdict>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    let (parts, body) = request.into_parts();
    let asks_for_websocket = parts.headers.get(UPGRADE).is_some_and(is_websocket);
    let checked = match verdict.and_then(Verdict::take) {
        Some(malformed) => Err(malformed),
        None => gate::check_request(&parts),
    };
    let answering = match checked {
        Ok(()) => Either::Left(app.answer(Request::from_parts(parts, body))),
        Err(Malformed { status, detail }) => {
            Either::Right(ready(app::refuse(status, &detail, app::is_grpc(&parts.headers))))
        }
    };
    answering.map(move |mut answer| {
        // What comes behind a handshake is not HTTP, and no request may be found in it, whatever the answer is.
        match verdict {
            Some(verdict) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => verdict.tunnel(),
            Some(_) if asks_for_websocket => {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        Ok(answer)
    })
}

fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
}
