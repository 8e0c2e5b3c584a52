//! The two doors of the control plane: ADS and renewals over mutual TLS, the first certificate over the bootstrap socket.
//!
//! There is no third one, and nothing is served in the clear over TCP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use samspill_identity::{IdentityStore, Peer, TlsStream};
use samspill_net::{Listener, UnixListener};
use samspill_observability::chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::service::Routes;
use tower::ServiceExt;

use crate::identity::{BootstrapPeer, CertificateService};

/// What strangers may cost: connections whose handshake is not done. The rest wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 1024;

/// Connections of members; each proxy has one, and two for a moment when it makes a new one.
const MAX_CONNECTIONS: usize = 8192;

/// A first certificate takes milliseconds, plus a wait for the runtime's message about the process.
const BOOTSTRAP_DEADLINE: Duration = Duration::from_secs(30);
const MAX_BOOTSTRAPS: usize = 256;

/// A proxy needs two streams: ADS and a renewal.
const MAX_STREAMS: u32 = 16;

/// How often a silent peer is asked whether it lives, and how long it may think.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls may finish when a connection must end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `routes` to those who prove an identity of the mesh. It is in their requests' extensions as
/// [`SpiffeId`](samspill_model::identity::SpiffeId).
pub(crate) async fn serve_mutual_tls(
    listener: Listener,
    identities: IdentityStore,
    certificates: CertificateService,
    routes: Routes,
) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let Ok(connection) = Arc::clone(&connections).acquire_owned().await else { return };
        let (stream, peer) = listener.accept().await;
        let (identities, certificates, routes) = (identities.clone(), certificates.clone(), routes.clone());
        samspill_net::task::spawn("ads-connection", async move {
            let member = accept(stream, peer, &identities).await;
            drop(handshake);
            if let Some((stream, Peer { id, not_after, .. }, own_not_after)) = member {
                certificates.seen(&id, not_after);
                serve_http2(stream, routes, id, remaining(not_after.min(own_not_after))).await;
            }
            drop(connection);
        });
    }
}

/// The peer that has proven itself, and until when our own proof holds.
async fn accept(
    stream: TcpStream,
    address: SocketAddr,
    identities: &IdentityStore,
) -> Option<(TlsStream<TcpStream>, Peer, SystemTime)> {
    let own = identities.current()?;
    match own.accept(stream, &[b"h2"]).await {
        Ok((stream, peer)) => Some((stream, peer, own.not_after)),
        Err(error) => {
            tracing::info!(%address, error = %chain(&error), "refused a connection to ADS");
            None
        }
    }
}

/// Serves `routes` to processes of this machine and user. Who they are is in their requests' extensions as [`BootstrapPeer`].
pub(crate) async fn serve_bootstrap(listener: UnixListener, routes: Routes) {
    let connections = Arc::new(Semaphore::new(MAX_BOOTSTRAPS));
    let own_uid = rustix::process::getuid().as_raw();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = listener.accept().await;
        let Some(peer) = bootstrap_peer(&stream, own_uid) else { continue };
        let routes = routes.clone();
        samspill_net::task::spawn("bootstrap-connection", async move {
            serve_http2(stream, routes, peer, BOOTSTRAP_DEADLINE).await;
            drop(permit);
        });
    }
}

fn bootstrap_peer(stream: &UnixStream, own_uid: u32) -> Option<BootstrapPeer> {
    let credentials = stream.peer_cred().ok()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok())?;
    if credentials.uid() != own_uid {
        tracing::warn!(pid, uid = credentials.uid(), "refused another user on the bootstrap socket");
        return None;
    }
    Some(BootstrapPeer { pid })
}

/// Serves one connection until it ends, or `until`: then it is asked to end, and ended.
async fn serve_http2<S, P>(stream: S, routes: Routes, peer: P, until: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    P: Clone + Send + Sync + 'static,
{
    let router = routes.into_axum_router();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never: Infallible| match never {})) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tokio::time::sleep(until) => {
            connection.as_mut().graceful_shutdown();
            // An ADS stream never ends by itself: it is cut here, and its proxy comes back with its newer certificate.
            timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %chain(&error), "a control connection ended");
    }
}

fn remaining(not_after: SystemTime) -> Duration {
    not_after.duration_since(samspill_net::clock::now()).unwrap_or_default()
}
