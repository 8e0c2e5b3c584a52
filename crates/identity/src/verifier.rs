//! What rustls asks while it shakes hands: is this certificate's owner somebody we talk to?

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use samspill_model::identity::SpiffeId;
use webpki::{EndEntityCert, KeyUsage};

use crate::handshake::HandshakeFailure;
use crate::svid::{Leaf, SvidError};

/// TLS 1.3 with AES-128 before AES-256, which costs more and protects no better here; X25519MLKEM768 is the first
/// key exchange (rustls' feature `prefer-post-quantum`).
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    use aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256],
        ..aws_lc_rs::default_provider()
    })
});

/// Our clock, for rustls.
#[derive(Debug)]
pub(crate) struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = samspill_net::clock::now().duration_since(SystemTime::UNIX_EPOCH);
        since_epoch.ok().map(|since: Duration| UnixTime::since_unix_epoch(since))
    }
}

/// Accepts the identities of one trust domain: all of them, or only those that are expected.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pub(crate) trust_domain: String,
    pub(crate) anchors: Arc<[TrustAnchor<'static>]>,
    pub(crate) expected: Option<Vec<SpiffeId>>,
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let algorithms = PROVIDER.signature_verification_algorithms.all;
        EndEntityCert::try_from(end_entity)
            .and_then(|certificate| {
                let path =
                    certificate.verify_for_usage(algorithms, &self.anchors, intermediates, now, usage, None, None);
                path.map(drop)
            })
            .map_err(chain_error)?;

        let Leaf { id, .. } = Leaf::parse(end_entity).map_err(|error| ours(HandshakeFailure::NotAnIdentity(error)))?;
        if id.trust_domain != self.trust_domain {
            return Err(ours(HandshakeFailure::Untrusted));
        }
        match &self.expected {
            Some(expected) if !expected.contains(&id) => {
                Err(ours(HandshakeFailure::IdentityMismatch { expected: expected.clone(), found: id }))
            }
            _ => Ok(()),
        }
    }

    fn verify_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

/// A failure that passes through rustls and is found again by [`HandshakeFailure::of`].
fn ours(failure: HandshakeFailure) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(failure))))
}

/// The right TLS alert for what is wrong with a chain.
fn chain_error(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::CaUsedAsEndEntity => return ours(HandshakeFailure::NotAnIdentity(SvidError::Authority)),
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            return ours(HandshakeFailure::NotAnIdentity(SvidError::ExtendedKeyUsage));
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>, // names prove nothing here
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // a workload has one certificate and needs no hint
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
