//! Opens a connection to an endpoint: TCP, mutual TLS unless it is the own app, HTTP.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use samspill_identity::{ClientTls, HandshakeError, HandshakeFailure, Identity, IdentityStore};
use samspill_model::identity::SpiffeId;
use samspill_model::intent::AppProtocol;
use samspill_net::{clock, connect, task};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::endpoint::{Http1, Http2, Transport};
use crate::expiring::Expiring;
use crate::metrics::{Metrics, Side};
use crate::reason::{Failure, Reason};

/// TCP and TLS together. Long enough for a sidecar that is being restarted: its accept queue is kept for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP/2 connection whose peer does not answer a PING within `PING_TIMEOUT` is given up.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for one stream's data on its way, in bytes: a mebibyte keeps a large body moving on a mesh hop.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The largest head that HTTP/2 takes, in bytes: as much as the gate lets through on HTTP/1.
pub const HEAD_BYTES: u32 = 64 * 1024;

/// How long a connection may be used. No connection outlives the certificates that it was made with.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime(Option<Limits>);

#[derive(Clone, Copy, Debug)]
struct Limits {
    begin: Instant,
    length: Duration,
}

impl Lifetime {
    /// Without certificates there is no end.
    pub const UNLIMITED: Self = Self(None);

    /// Until the certificate that expires first.
    pub fn until(not_after: SystemTime) -> Self {
        let length = not_after.duration_since(clock::now()).unwrap_or_default();
        Self(Some(Limits { begin: Instant::now(), length }))
    }

    /// Whether no new request should be sent: a fifth of the time is left for what is in flight.
    pub fn is_over(&self) -> bool {
        self.0.is_some_and(|limits| limits.begin.elapsed() >= limits.length.mul_f64(0.8))
    }

    /// Returns when a server should ask its peer to go, later than [`is_over`](Self::is_over) makes a peer of ours go.
    pub async fn nearly_ended(&self) {
        self.reach(0.9).await;
    }

    /// Returns when a certificate has expired.
    pub async fn ended(&self) {
        self.reach(1.0).await;
    }

    fn end(&self) -> Option<Instant> {
        self.0.map(|limits| limits.begin + limits.length)
    }

    async fn reach(&self, share: f64) {
        match self.0 {
            Some(limits) => tokio::time::sleep_until(limits.begin + limits.length.mul_f64(share)).await,
            None => std::future::pending().await,
        }
    }
}

/// How this worker proves itself to one backend, and whom it expects there.
#[derive(Debug)]
pub(crate) struct MeshTls {
    store: Arc<IdentityStore>,
    expected: Vec<SpiffeId>,
    protocol: AppProtocol,
    metrics: Arc<Metrics>,
    side: Side,
    /// Made once per certificate.
    prepared: Mutex<Option<(Arc<Identity>, Arc<ClientTls>)>>,
}

impl MeshTls {
    pub(crate) fn new(
        store: &Arc<IdentityStore>,
        expected: &[SpiffeId],
        protocol: AppProtocol,
        metrics: &Arc<Metrics>,
        side: Side,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            expected: expected.to_vec(),
            protocol,
            metrics: Arc::clone(metrics),
            side,
            prepared: Mutex::default(),
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Result<(impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Lifetime), Failure> {
        let Some((identity, tls)) = self.prepare() else { return Err(Failure::new(Reason::NotReady)) };
        let done = tls.connect(stream).await;
        self.metrics.handshake(self.side, done.is_ok());
        let (stream, peer) = done.map_err(refused)?;
        Ok((stream, Lifetime::until(peer.not_after.min(identity.not_after))))
    }

    fn prepare(&self) -> Option<(Arc<Identity>, Arc<ClientTls>)> {
        let identity = self.store.current()?;
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        match &*prepared {
            Some((of, tls)) if Arc::ptr_eq(of, &identity) => Some((identity, Arc::clone(tls))),
            _ => {
                let tls = identity.client(&self.expected, alpn(self.protocol));
                *prepared = Some((Arc::clone(&identity), Arc::clone(&tls)));
                Some((identity, tls))
            }
        }
    }
}

/// What is offered, and asked for, in the handshake.
pub fn alpn(protocol: AppProtocol) -> &'static [&'static [u8]] {
    match protocol {
        AppProtocol::Http1 => &[b"http/1.1"],
        AppProtocol::Http2 => &[b"h2"],
    }
}

fn refused(error: HandshakeError) -> Failure {
    let reason = match error.reason {
        HandshakeFailure::IdentityMismatch { .. } => Reason::IdentityMismatch,
        _ => Reason::ConnectFailed,
    };
    Failure::new(reason).caused_by(error)
}

pub(crate) async fn open_http1(address: SocketAddr, transport: &Transport) -> Result<Http1, Failure> {
    within_timeout(async {
        let stream = tcp(address, transport).await?;
        match transport {
            Transport::Plain => http1_over(stream, Lifetime::UNLIMITED).await,
            Transport::Mesh(tls) => {
                let (stream, lifetime) = tls.handshake(stream).await?;
                http1_over(stream, lifetime).await
            }
        }
    })
    .await
}

pub(crate) async fn open_http2(address: SocketAddr, transport: &Transport) -> Result<Http2, Failure> {
    within_timeout(async {
        let stream = tcp(address, transport).await?;
        match transport {
            Transport::Plain => http2_over(stream, Lifetime::UNLIMITED).await,
            Transport::Mesh(tls) => {
                let (stream, lifetime) = tls.handshake(stream).await?;
                http2_over(stream, lifetime).await
            }
        }
    })
    .await
}

async fn within_timeout<T>(opening: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let timed_out = |elapsed| Failure::new(Reason::ConnectFailed).caused_by(elapsed);
    tokio::time::timeout(CONNECT_TIMEOUT, opening).await.map_err(timed_out)?
}

async fn tcp(address: SocketAddr, transport: &Transport) -> Result<TcpStream, Failure> {
    let reason = match transport {
        Transport::Plain => Reason::AppUnreachable,
        Transport::Mesh(_) => Reason::ConnectFailed,
    };
    connect::tcp(address, CONNECT_TIMEOUT).await.map_err(|error| Failure::new(reason).caused_by(error))
}

async fn http1_over<IO>(io: IO, lifetime: Lifetime) -> Result<Http1, Failure>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Expiring::new(io, lifetime.end()));
    let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(not_http)?;
    // An error is seen by the request that it belongs to.
    task::spawn("upstream http/1 connection", async move { drop(connection.with_upgrades().await) });
    Ok(Http1 { sender, lifetime, idle_since: Instant::now() })
}

async fn http2_over<IO>(io: IO, lifetime: Lifetime) -> Result<Http2, Failure>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Expiring::new(io, lifetime.end()));
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io)
        .await
        .map_err(not_http)?;
    task::spawn("upstream http/2 connection", async move { drop(connection.await) });
    Ok(Http2 { sender, lifetime, streams: Arc::new(AtomicU32::new(0)) })
}

fn not_http(error: hyper::Error) -> Failure {
    Failure::new(Reason::ConnectFailed).caused_by(error)
}
