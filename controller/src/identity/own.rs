//! The controller's own certificate, from its own authority. It renews itself at half of its life.

use std::sync::Arc;
use std::time::Duration;

use samspill_identity::authority::{CertificateAuthority, IssueError};
use samspill_identity::{Identity, IdentityStore, InvalidIdentity, SigningRequest};
use samspill_model::identity::SpiffeId;
use samspill_observability::chain;

/// When a renewal that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why the controller has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateError {
    /// The authority refused.
    #[error("cannot issue the controller's certificate")]
    Issue(#[from] IssueError),
    /// What the authority issued is no identity.
    #[error("cannot use the controller's certificate")]
    Identity(#[from] InvalidIdentity),
}

/// Puts a certificate into the store, and returns the task that keeps it fresh.
pub(crate) fn keep_own_certificate(
    authority: &Arc<CertificateAuthority>,
    trust_domain: &str,
    ttl: Duration,
    identities: IdentityStore,
) -> Result<impl Future<Output = ()> + Send + 'static, OwnCertificateError> {
    let id = SpiffeId::controller(trust_domain);
    identities.set(issue(authority, &id, ttl)?);
    let authority = Arc::clone(authority);
    Ok(async move {
        let mut pause = ttl / 2;
        loop {
            tokio::time::sleep(pause).await;
            pause = match issue(&authority, &id, ttl) {
                Ok(identity) => {
                    identities.set(identity);
                    ttl / 2
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "cannot renew the controller's own certificate");
                    RETRY.min(ttl / 8)
                }
            };
        }
    })
}

fn issue(authority: &CertificateAuthority, id: &SpiffeId, ttl: Duration) -> Result<Identity, OwnCertificateError> {
    let request = SigningRequest::new();
    let certificates = authority.issue(&request.csr_der, id, ttl, samspill_net::clock::now())?;
    Ok(Identity::new(certificates, request.key, &authority.bundle())?)
}
