//! Our own identity, and what we can do with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig, version::TLS13};
use samspill_model::identity::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::handshake::{self, ClientTls, HandshakeError, Peer};
use crate::svid::{Leaf, SvidError};
use crate::verifier::{Clock, PROVIDER, Verifier};

/// The provider is fixed in the source, and it has TLS 1.3.
const HAS_TLS13: &str = "the provider has suites and key exchanges for TLS 1.3";

/// The authorities of a trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// Whose members they may vouch for.
    pub trust_domain: String,
    /// Their certificates.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Why a certificate, a key and a bundle make no identity.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// There is no certificate.
    #[error("the certificate chain is empty")]
    Empty,
    /// The first certificate is nobody's.
    #[error(transparent)]
    Svid(#[from] SvidError),
    /// The certificate and the bundle disagree.
    #[error("{id} is not of the trust domain {trust_domain}")]
    TrustDomain {
        /// Whose certificate it is.
        id: SpiffeId,
        /// Whose roots they are.
        trust_domain: String,
    },
    /// A root cannot be used.
    #[error("a root certificate is malformed")]
    Root(#[source] webpki::Error),
    /// The key cannot be used with the certificate.
    #[error("the key does not fit the certificate")]
    Key(#[source] rustls::Error),
}

/// A certificate, its key, and the authorities that the others' certificates must come from.
pub struct Identity {
    /// Who we are.
    pub id: SpiffeId,
    /// From when on our certificate is valid.
    pub not_before: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
    key: Arc<CertifiedKey>,
    verifier: Verifier,
    /// One per list of protocols; there are three in all.
    acceptors: Mutex<Vec<(Vec<Vec<u8>>, TlsAcceptor)>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Identity {
    /// Checks that the three belong together. The chain begins with our own certificate.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        bundle: &TrustBundle,
    ) -> Result<Self, InvalidIdentity> {
        let leaf = Leaf::parse(chain.first().ok_or(InvalidIdentity::Empty)?)?;
        if leaf.id.trust_domain != bundle.trust_domain {
            return Err(InvalidIdentity::TrustDomain { id: leaf.id, trust_domain: bundle.trust_domain.clone() });
        }
        Self::assemble(leaf, chain, key, bundle)
    }

    pub(crate) fn assemble(
        leaf: Leaf,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        bundle: &TrustBundle,
    ) -> Result<Self, InvalidIdentity> {
        let anchor = |root| webpki::anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned());
        let anchors: Result<_, _> = bundle.roots.iter().map(anchor).collect();
        Ok(Self {
            id: leaf.id,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            key: Arc::new(CertifiedKey::from_der(chain, key, &PROVIDER).map_err(InvalidIdentity::Key)?),
            verifier: Verifier {
                trust_domain: bundle.trust_domain.clone(),
                anchors: anchors.map_err(InvalidIdentity::Root)?,
                expected: None,
            },
            acceptors: Mutex::default(),
        })
    }

    /// The server's side of a handshake: the client must prove that it is a member of our trust domain. `alpn` are the
    /// protocols that we speak, the preferred first.
    pub async fn accept<S>(&self, stream: S, alpn: &[&[u8]]) -> Result<(TlsStream<S>, Peer), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        handshake::accept(self.acceptor(alpn), stream).await
    }

    /// The client's side of a handshake: the server must prove that it is one of `expected`.
    pub async fn connect<S>(
        &self,
        stream: S,
        expected: &[SpiffeId],
        alpn: &[&[u8]],
    ) -> Result<(TlsStream<S>, Peer), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.client(expected, alpn).connect(stream).await
    }

    /// The same, prepared for many connections.
    pub fn client(&self, expected: &[SpiffeId], alpn: &[&[u8]]) -> Arc<ClientTls> {
        let verifier = Verifier { expected: Some(expected.to_vec()), ..self.verifier.clone() };
        let mut config = ClientConfig::builder_with_details(Arc::clone(&PROVIDER), Arc::new(Clock))
            .with_protocol_versions(&[&TLS13])
            .expect(HAS_TLS13)
            .dangerous() // rustls' word for a verifier that is not its own
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.key))));
        config.alpn_protocols = owned(alpn);
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Arc::new(ClientTls::new(Arc::new(config).into()))
    }

    fn acceptor(&self, alpn: &[&[u8]]) -> TlsAcceptor {
        let mut acceptors = self.acceptors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, acceptor)) = acceptors.iter().find(|(protocols, _)| protocols == alpn) {
            return acceptor.clone();
        }
        let mut config = ServerConfig::builder_with_details(Arc::clone(&PROVIDER), Arc::new(Clock))
            .with_protocol_versions(&[&TLS13])
            .expect(HAS_TLS13)
            .with_client_cert_verifier(Arc::new(self.verifier.clone()))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.key))));
        config.alpn_protocols = owned(alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        acceptors.push((owned(alpn), acceptor.clone()));
        acceptor
    }
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}
