//! Connections: accepts them, finds out which HTTP they speak, and serves them until they end or must end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use samspill_engine::Body;
use samspill_engine::connection::{HEAD_BYTES, Lifetime};
use samspill_net::drain::DrainWatch;
use samspill_net::gate::{self, Http1Guard, HttpVersion, Limits, Verdict};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::linger::Lingering;

/// How long a client may take to say its first 24 bytes.
const PREFACE_DEADLINE: Duration = Duration::from_secs(10);

/// How long an HTTP/1 connection may be idle between two requests: longer than any client of ours keeps one, so that it is the
/// client that closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How long idle HTTP/1 connections are left open while draining. Closing one at once would lose a request that is already
/// on its way; each that sends one within this time is answered and told to close.
const DRAIN_WINDOW: Duration = Duration::from_secs(1);

/// Streams that one client may have open on a connection.
const MAX_CONCURRENT_STREAMS: u32 = 200;

/// Room for one stream's data on its way, and for a connection's, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Answers the requests of one connection.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request; a failure is an answer too. `verdict` is the gate's word on it, for HTTP/1.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        verdict: Option<Verdict>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// When a connection must end.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The listener's own end.
    pub(crate) drain: DrainWatch,
    /// The certificates' end.
    pub(crate) lifetime: Lifetime,
}

/// Serves a connection whose protocol is still to be seen: on our own cleartext listeners, where the client speaks first.
pub(crate) async fn detect_and_serve<IO, H>(io: IO, handler: Arc<H>, ending: Ending)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let detected = tokio::select! {
        detected = gate::detect(io, PREFACE_DEADLINE) => detected,
        // Its first request may be on its way.
        () = drained(&ending.drain) => return,
    };
    match detected {
        Ok((version, io)) => serve(io, version, handler, ending).await,
        Err(error) => tracing::debug!(%error, "a connection said nothing that is HTTP"),
    }
}

/// Serves a connection that speaks `version`.
pub(crate) async fn serve<IO, H>(io: IO, version: HttpVersion, handler: Arc<H>, ending: Ending)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    match version {
        HttpVersion::Http1 => serve_http1(io, handler, ending).await,
        HttpVersion::Http2 => serve_http2(io, handler, ending).await,
    }
}

async fn serve_http1<IO, H>(io: IO, handler: Arc<H>, ending: Ending)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let verdict = Verdict::default();
    let guarded = Http1Guard::with_verdict(Lingering::new(io, verdict.clone()), Limits::default(), verdict.clone());
    let drain = ending.drain.clone();
    let lifetime = ending.lifetime;
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::clone(&handler).handle(request, Some(verdict.clone()));
        let drain = drain.clone();
        async move {
            let mut response = answering.await;
            *response.version_mut() = Version::HTTP_11;
            let has_left_http = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if !has_left_http && (drain.is_draining() || lifetime.is_over()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    // hyper sees no head before the guard has it whole: what it takes for a slow head is an idle connection.
    builder.half_close(false).timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(guarded), service).with_upgrades());
    tokio::select! {
        ended = &mut connection => return log_end(ended),
        () = drained(&ending.drain) => {}
        () = ending.lifetime.nearly_ended() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        () = ending.lifetime.ended() => {}
    }
}

async fn serve_http2<IO, H>(io: IO, handler: Arc<H>, ending: Ending)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::clone(&handler).handle(request, None);
        async move {
            let mut response = answering.await;
            *response.version_mut() = Version::HTTP_2;
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(io), service)
    );
    tokio::select! {
        ended = &mut connection => return log_end(ended),
        // GOAWAY, and the streams that were begun are finished (RFC 9113 §6.8).
        () = ending.drain.started() => {}
        () = ending.lifetime.nearly_ended() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        () = ending.lifetime.ended() => {}
    }
}

async fn drained(drain: &DrainWatch) {
    drain.started().await;
    tokio::time::sleep(DRAIN_WINDOW).await;
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(error = %samspill_observability::chain(&error), "a connection broke");
    }
}
