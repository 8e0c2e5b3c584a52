//! Asking for a certificate.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A new key, and the request for a certificate that proves that we have it. The request names nobody: who we are is for
/// the authority to find out.
#[derive(Debug)]
pub struct SigningRequest {
    /// Never leaves this process.
    pub key: PrivateKeyDer<'static>,
    /// PKCS #10.
    pub csr_der: Vec<u8>,
}

impl SigningRequest {
    /// Makes a P-256 key.
    #[expect(clippy::new_without_default, reason = "two of them are never equal")]
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("the system has random bytes");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).expect("a key that was just made signs");
        Self { key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(), csr_der: request.der().to_vec() }
    }
}
