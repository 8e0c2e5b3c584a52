//! The admin port, on loopback: is the proxy alive, is it ready, what has it counted, and the order to drain.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use samspill_net::{Listener, task};
use samspill_observability::metrics::CONTENT_TYPE as OPENMETRICS;

use tokio::net::TcpStream;

use crate::app::Shared;
use crate::metrics;

/// How long `POST /drain` waits at most when its caller does not say.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers on the admin port.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    shared: Shared,
}

impl Admin {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Serves for as long as the process lives.
    pub(crate) fn spawn(self, listener: Listener) {
        task::spawn("admin", self.serve(listener));
    }

    async fn serve(self, listener: Listener) {
        loop {
            let (stream, _from) = listener.accept().await;
            self.clone().spawn_connection(stream);
        }
    }

    fn spawn_connection(self, stream: TcpStream) {
        let service = service_fn(move |request| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(request).await) }
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        task::spawn("admin connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection broke");
            }
        });
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/livez") => text(StatusCode::OK, "live\n"),
            (&Method::GET, "/readyz") if self.shared.is_ready() => text(StatusCode::OK, "ready\n"),
            (&Method::GET, "/readyz") => {
                text(StatusCode::SERVICE_UNAVAILABLE, "waiting for an identity and a first configuration\n")
            }
            (&Method::GET, "/metrics") => {
                let mut response = text(StatusCode::OK, metrics::encode(&self.shared));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
                response
            }
            (&Method::POST, "/drain") => self.drain(drain_timeout(request.uri().query())).await,
            (_, "/livez" | "/readyz" | "/metrics" | "/drain") => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            _ => text(StatusCode::NOT_FOUND, "here are: GET /livez /readyz /metrics, POST /drain\n"),
        }
    }

    /// Answers when the mesh has no connection to this sidecar any more, or the time is over.
    async fn drain(&self, timeout: Duration) -> Response<Full<Bytes>> {
        self.shared.inbound_drain.start();
        match tokio::time::timeout(timeout, self.shared.inbound_drain.finished()).await {
            Ok(()) => text(StatusCode::OK, "drained\n"),
            Err(_elapsed) => text(StatusCode::OK, "some connections are still open\n"),
        }
    }
}

fn drain_timeout(query: Option<&str>) -> Duration {
    let seconds = query.and_then(|query| query.strip_prefix("timeout_seconds=")).and_then(|value| value.parse().ok());
    seconds.map_or(DRAIN_TIMEOUT, Duration::from_secs)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
