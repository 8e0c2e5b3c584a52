//! Who gets which identity: attestation, the certificate authority's counter, and the controller's own certificate.

mod attest;

mod own;

mod sign;

pub(crate) use attest::{AttestError, Attestor};
pub use own::OwnCertificateError;
pub(crate) use own::keep_own_certificate;
pub(crate) use sign::{BootstrapPeer, CertificateService, Issued};
