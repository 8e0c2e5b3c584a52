//! Connections for calls to others: to the sidecar if there is one, else to the named service itself.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

/// How long a connection may take: loopback and one network hop need milliseconds; a lost SYN is sent again after one
/// second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an unused connection is kept: below the idle timeout of every server that we know (Node's is 5 s), so that
/// it is we who close it, and never while a request is on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How often an HTTP/2 connection is tried, and how long the answer may take: a peer that vanished without a word is
/// noticed (grpc-rust#2746).
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections of one service to all others. Cheap to clone, shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http1: legacy::Client<Dial, Full<Bytes>>,
    http2: legacy::Client<Dial, tonic::body::Body>,
}

impl Transport {
    /// `outbound` is the sidecar; without it each name is asked of the DNS.
    pub(crate) fn new(outbound: Option<SocketAddr>) -> Self {
        let dial = Dial { outbound };
        let http1 = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(dial);
        let http2 = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(dial);
        Self { http1, http2 }
    }

    /// For HTTP calls. A request that was not sent, because its pooled connection had just been closed, is sent anew.
    pub(crate) fn http1(&self) -> &legacy::Client<Dial, Full<Bytes>> {
        &self.http1
    }

    /// For gRPC calls: one connection per name, for all calls at once.
    pub(crate) fn http2(&self) -> &legacy::Client<Dial, tonic::body::Body> {
        &self.http2
    }
}

/// Opens a connection for a URI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    outbound: Option<SocketAddr>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The DNS knows no such name.
    #[error("cannot find `{host}`")]
    Unknown { host: String, source: std::io::Error },
    /// It has no address.
    #[error("`{host}` has no address")]
    NoAddress { host: String },
    /// It, or the sidecar, does not accept.
    #[error(transparent)]
    Connect(#[from] samspill_net::connect::ConnectError),
}

impl Dial {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, DialError> {
        if let Some(sidecar) = self.outbound {
            return Ok(TokioIo::new(samspill_net::connect::tcp(sidecar, CONNECT_TIMEOUT).await?));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(samspill_model::name::DEFAULT_PORT);
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect::<Vec<SocketAddr>>);
        let addresses = found.map_err(|source| DialError::Unknown { host: host.clone(), source })?;
        let mut failure = DialError::NoAddress { host };
        for address in addresses {
            match samspill_net::connect::tcp(address, CONNECT_TIMEOUT).await {
                Ok(stream) => return Ok(TokioIo::new(stream)),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }
}

impl tower::Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.connect(uri))
    }
}
