//! Connections for calls to others: to the sidecar if there is one, else to the named service itself, which in a
//! [`TestMesh`](crate::test::TestMesh) is in the same process.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

use crate::test::{DoorError, WayOut};

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
    is_in_mesh: bool,
}

impl Transport {
    /// `outbound` is the sidecar; without it each name is asked of the DNS.
    pub(crate) fn new(outbound: Option<SocketAddr>) -> Self {
        Self::by(outbound.map_or(Dial::Dns, Dial::Sidecar), usize::MAX)
    }

    /// To services of this process. No connection is kept: a service that is replaced lets its connections end, and a
    /// request that meets the end fails, which a sidecar would prevent.
    pub(crate) fn in_process(way_out: WayOut) -> Self {
        Self::by(Dial::InProcess(way_out), 0)
    }

    fn by(dial: Dial, idle_connections: usize) -> Self {
        let is_in_mesh = !matches!(dial, Dial::Dns);
        let http1 = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_connections)
            .build(dial.clone());
        let http2 = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(idle_connections)
            .http2_only(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(dial);
        Self { http1, http2, is_in_mesh }
    }

    /// Whether something stands between us and the others that proves who is who.
    pub(crate) fn is_in_mesh(&self) -> bool {
        self.is_in_mesh
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
#[derive(Clone, Debug)]
pub(crate) enum Dial {
    /// To the sidecar, which finds the service.
    Sidecar(SocketAddr),
    /// To an address of the name.
    Dns,
    /// To the service itself, in this process.
    InProcess(WayOut),
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
    /// Nobody in this process serves it.
    #[error(transparent)]
    InProcess(#[from] DoorError),
}

impl Dial {
    async fn connect(self, uri: Uri) -> Result<TokioIo<Wire>, DialError> {
        let wire = match self {
            Self::Sidecar(address) => Wire::Tcp(samspill_net::connect::tcp(address, CONNECT_TIMEOUT).await?),
            Self::Dns => Wire::Tcp(Self::by_dns(&uri).await?),
            Self::InProcess(way_out) => Wire::Memory(way_out.connect(&uri)?),
        };
        Ok(TokioIo::new(wire))
    }

    async fn by_dns(uri: &Uri) -> Result<TcpStream, DialError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(samspill_model::name::DEFAULT_PORT);
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect::<Vec<SocketAddr>>);
        let addresses = found.map_err(|source| DialError::Unknown { host: host.clone(), source })?;
        let mut failure = DialError::NoAddress { host };
        for address in addresses {
            match samspill_net::connect::tcp(address, CONNECT_TIMEOUT).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }
}

impl tower::Service<Uri> for Dial {
    type Response = TokioIo<Wire>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// What a connection's bytes go through.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(stream) => stream.connected(),
            Self::Memory(_) => Connected::new(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Memory(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
