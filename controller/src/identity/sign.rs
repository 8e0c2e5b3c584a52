//! The gRPC service `samspill.v1.Certificates`: turns an attested caller and a public key into a certificate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use samspill_identity::authority::CertificateAuthority;
use samspill_model::identity::SpiffeId;
use samspill_observability::chain;
use samspill_xds::certificates::{Certificates, SignRequest, SignResponse};
use tonic::{Request, Response, Status};

use super::{AttestError, Attestor};

/// A request has about 300 bytes. Parsing stops here.
const MAX_CSR_BYTES: usize = 16 * 1024;

/// On a request from the bootstrap socket: the process at its other end, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootstrapPeer {
    pub(crate) pid: u32,
}

/// Per identity: how many certificates this process has issued, and when the newest that it knows of ends.
pub(crate) type Issued = BTreeMap<SpiffeId, (u64, SystemTime)>;

/// Signs for whoever is attested. A clone is the same service.
#[derive(Clone, Debug)]
pub(crate) struct CertificateService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authority: Arc<CertificateAuthority>,
    attestor: Arc<Attestor>,
    trust_domain: String,
    leaf_ttl: Duration,
    issued: Mutex<Issued>,
}

impl CertificateService {
    pub(crate) fn new(
        authority: Arc<CertificateAuthority>,
        attestor: Arc<Attestor>,
        trust_domain: String,
        leaf_ttl: Duration,
    ) -> Self {
        let issued = Mutex::default();
        Self { inner: Arc::new(Inner { authority, attestor, trust_domain, leaf_ttl, issued }) }
    }

    pub(crate) fn issued(&self) -> Issued {
        self.inner.issued.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a certificate that was shown: perhaps it was issued before this process started.
    pub(crate) fn seen(&self, id: &SpiffeId, not_after: SystemTime) {
        self.inner.note(id, 0, not_after);
    }
}

impl Inner {
    fn note(&self, id: &SpiffeId, issued: u64, not_after: SystemTime) {
        let mut all = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, newest) = all.entry(id.clone()).or_insert((0, not_after));
        *count += issued;
        *newest = not_after.max(*newest);
    }

    /// Attests by the connection that a request came over: the kernel's word, or a verified certificate.
    async fn attest(&self, request: &Request<SignRequest>) -> Result<SpiffeId, Status> {
        let SignRequest { csr_der, token } = request.get_ref();
        if let Some(peer) = request.extensions().get::<BootstrapPeer>() {
            return self.attestor.by_token(peer.pid, token, csr_der).await.map_err(|error| {
                tracing::warn!(pid = peer.pid, %error, "refused a first certificate");
                refusal(&error)
            });
        }
        if let Some(id) = request.extensions().get::<SpiffeId>() {
            return self.attestor.by_certificate(id).map(|()| id.clone()).map_err(|error| {
                tracing::warn!(%id, %error, "refused a further certificate");
                refusal(&error)
            });
        }
        Err(Status::unauthenticated("who are you?"))
    }
}

#[tonic::async_trait]
impl Certificates for CertificateService {
    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let Inner { authority, trust_domain, leaf_ttl, .. } = &*self.inner;
        if request.get_ref().csr_der.len() > MAX_CSR_BYTES {
            return Err(Status::invalid_argument("the certificate request is too long"));
        }
        let id = self.inner.attest(&request).await?;
        let now = samspill_net::clock::now();
        let chain_der = authority.issue(&request.get_ref().csr_der, &id, *leaf_ttl, now).map_err(|error| {
            tracing::warn!(%id, error = %chain(&error), "refused a certificate request");
            Status::invalid_argument(chain(&error).to_string())
        })?;
        tracing::info!(%id, "issued a certificate");
        self.inner.note(&id, 1, now + *leaf_ttl);
        Ok(Response::new(SignResponse {
            chain_der: chain_der.iter().map(|certificate| certificate.to_vec()).collect(),
            roots_der: authority.bundle().roots.iter().map(|root| root.to_vec()).collect(),
            trust_domain: trust_domain.clone(),
        }))
    }
}

fn refusal(error: &AttestError) -> Status {
    match error {
        AttestError::Store => Status::unavailable(error.to_string()),
        AttestError::UnknownToken | AttestError::WrongProcess | AttestError::SpentToken | AttestError::NotInMesh => {
            Status::permission_denied(error.to_string())
        }
    }
}
