//! The proxy's certificate: the first by token over the controller's Unix socket, later ones over mutual TLS by the
//! current one, each with a key of its own that never leaves this process.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rand::Rng;
use samspill_identity::{Identity, IdentityStore, InvalidIdentity, SigningRequest, TrustBundle};
use samspill_model::identity::SpiffeId;
use samspill_net::{clock, connect};
use samspill_observability::chain;
use samspill_xds::certificates::{CertificatesClient, SignRequest};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::config::Config;

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts: the first, and the most that it grows to.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The certificate has expired and could not be renewed.
#[derive(Debug)]
pub(crate) struct Expired;

/// Keeps the identity store filled.
#[derive(Debug)]
pub(crate) struct Certificates {
    config: Arc<Config>,
    store: Arc<IdentityStore>,
}

#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error("the controller did not answer within {ATTEMPT_TIMEOUT:?}")]
    Timeout,
    #[error("the controller refused: {}", .0.message())]
    Refused(#[source] Box<tonic::Status>),
    #[error("the controller's answer is no identity of ours")]
    Unusable(#[source] InvalidIdentity),
    #[error("the controller gave us the identity {0}")]
    Foreign(SpiffeId),
}

impl Certificates {
    pub(crate) fn new(config: Arc<Config>, store: Arc<IdentityStore>) -> Self {
        Self { config, store }
    }

    /// Gets a certificate and renews it at half of its life, for ever.
    ///
    /// Returns only when the certificate has expired: the token is used up, so that this process has no way back.
    pub(crate) async fn keep(&self, token: String) -> Expired {
        let mut backoff = FIRST_BACKOFF;
        // Repeated until it is answered: the token is good for one key, and an answer may be lost.
        let mut request = SigningRequest::new();
        loop {
            match self.renew(&request, &token).await {
                Ok(identity) => {
                    request = SigningRequest::new();
                    tracing::debug!(identity = %identity.id, "has a certificate");
                    backoff = FIRST_BACKOFF;
                    let life = identity.not_after.duration_since(clock::now()).unwrap_or_default();
                    self.store.set(identity);
                    // Ten per cent of jitter, so that a mesh that was started together does not renew together.
                    tokio::time::sleep(life.mul_f64(rand::rng().random_range(0.45..0.55))).await;
                }
                Err(error) => {
                    if self.store.current().is_some_and(|identity| identity.not_after <= clock::now()) {
                        return Expired;
                    }
                    tracing::debug!("no certificate yet: {}", chain(&error));
                    tokio::time::sleep(backoff.mul_f64(rand::rng().random_range(0.5..1.0))).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }

    async fn renew(&self, request: &SigningRequest, token: &str) -> Result<Identity, RenewError> {
        let signed = tokio::time::timeout(ATTEMPT_TIMEOUT, self.sign(request, token)).await;
        signed.map_err(|_elapsed| RenewError::Timeout)?
    }

    async fn sign(&self, request: &SigningRequest, token: &str) -> Result<Identity, RenewError> {
        let (channel, token) = match self.store.current() {
            Some(_) => (controller_channel(&self.config, &self.store), String::new()),
            None => (self.unix_socket(), token.to_owned()),
        };
        let csr_der = request.csr_der.clone();
        let signed = CertificatesClient::new(channel).sign(SignRequest { csr_der, token }).await;
        let signed = signed.map_err(|status| RenewError::Refused(Box::new(status)))?.into_inner();
        let chain = signed.chain_der.into_iter().map(Into::into).collect();
        let roots = signed.roots_der.into_iter().map(Into::into).collect();
        let bundle = TrustBundle { trust_domain: self.config.trust_domain.clone(), roots };
        let identity = Identity::new(chain, request.key.clone_key(), &bundle).map_err(RenewError::Unusable)?;
        if identity.id == self.config.identity() { Ok(identity) } else { Err(RenewError::Foreign(identity.id)) }
    }

    fn unix_socket(&self) -> Channel {
        let path = self.config.bootstrap.clone();
        let connector = service_fn(move |_uri: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        endpoint().connect_with_connector_lazy(connector)
    }
}

/// A connection to the controller, over mutual TLS with the newest certificate; made when it is first used.
pub(crate) fn controller_channel(config: &Arc<Config>, store: &Arc<IdentityStore>) -> Channel {
    let config = Arc::clone(config);
    let store = Arc::clone(store);
    let connector = service_fn(move |_uri: Uri| {
        let config = Arc::clone(&config);
        let store = Arc::clone(&store);
        async move {
            let identity = store.ready().await;
            let stream = connect::tcp(config.controller, ATTEMPT_TIMEOUT).await?;
            let controller = SpiffeId::controller(&config.trust_domain);
            let (stream, _peer) = identity.connect(stream, &[controller], &[b"h2"]).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(TokioIo::new(stream))
        }
    });
    endpoint().connect_with_connector_lazy(connector)
}

/// The URI is never looked at: the connectors above know where to go.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://controller").http2_keep_alive_interval(Duration::from_secs(10))
}
