//! A controller that knows only what the test tells it: certificates by token or by certificate, and ADS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use samspill_identity::Identity;
use samspill_identity::authority::CertificateAuthority;
use samspill_model::identity::SpiffeId;
use samspill_net::clock;
use samspill_xds::certificates::{Certificates, SignRequest, SignResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tonic::service::Routes;
use tonic::{Response, Status};
use tower::ServiceExt as _;

/// Signs for whoever has a token, and later for whoever has a certificate.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) authority: Arc<CertificateAuthority>,
    pub(super) lifetime: Duration,
    pub(super) tokens: Arc<Mutex<BTreeMap<String, SpiffeId>>>,
}

#[tonic::async_trait]
impl Certificates for Signer {
    async fn sign(&self, request: tonic::Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let SignRequest { csr_der, token } = request.get_ref();
        let proven = request.extensions().get::<SpiffeId>().cloned();
        let id = proven.or_else(|| self.tokens.lock().unwrap().remove(token));
        let id = id.ok_or_else(|| Status::permission_denied("the token is not known, or is used up"))?;
        let chain = self.authority.issue(csr_der, &id, self.lifetime, clock::now());
        let chain = chain.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(SignResponse {
            chain_der: chain.iter().map(|certificate| certificate.to_vec()).collect(),
            roots_der: self.authority.bundle().roots.iter().map(|root| root.to_vec()).collect(),
            trust_domain: self.authority.bundle().trust_domain,
        }))
    }
}

/// The door for the first certificate.
pub(super) async fn serve_bootstrap(listener: UnixListener, routes: Routes) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, routes.clone(), None));
    }
}

/// The door for ADS and renewals.
pub(super) async fn serve_ads(listener: TcpListener, identity: Arc<Identity>, routes: Routes) {
    while let Ok((stream, _)) = listener.accept().await {
        let (identity, routes) = (Arc::clone(&identity), routes.clone());
        tokio::spawn(async move {
            // A proxy that is being killed breaks off where it is.
            if let Ok((stream, peer)) = identity.accept(stream, &[b"h2"]).await {
                serve(stream, routes, Some(peer.id)).await;
            }
        });
    }
}

async fn serve<IO>(stream: IO, routes: Routes, peer: Option<SpiffeId>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = routes.into_axum_router();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        router.clone().oneshot(request)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // Proxies come and go as they like.
    drop(builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
}
