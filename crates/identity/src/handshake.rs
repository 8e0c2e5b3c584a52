//! Both ends of a handshake, and what can go wrong.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, CommonState, OtherError};
use samspill_model::identity::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::svid::{Leaf, SvidError};

/// From the first byte to the last of a handshake. A peer that is slower is broken or hostile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its identity.
    pub id: SpiffeId,
    /// When its certificate ends. The connection must not outlive it.
    pub not_after: SystemTime,
    /// The application protocol that was agreed on.
    pub alpn: Vec<u8>,
}

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake failed: {reason}")]
pub struct HandshakeError {
    /// What went wrong.
    pub reason: HandshakeFailure,
    /// What TLS or the system said.
    pub source: Option<io::Error>,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFailure {
    /// A client must have one, too.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// Another trust domain, another authority, or a broken signature.
    #[error("the peer's certificate is not of our trust domain")]
    Untrusted,
    /// Expired, or not valid yet: compare the clocks.
    #[error("the peer's certificate is not valid at this time")]
    Expired,
    /// Rightly signed, but nobody's identity.
    #[error("the peer's certificate is not an identity: {0}")]
    NotAnIdentity(SvidError),
    /// A valid member of the mesh, but another than the one that should be at this address.
    #[error("the peer is {found}, expected was {}", List(expected))]
    IdentityMismatch {
        /// Who would have been right.
        expected: Vec<SpiffeId>,
        /// Who it is.
        found: SpiffeId,
    },
    /// No application protocol in common.
    #[error("no application protocol was agreed on")]
    NoAlpn,
    /// The peer sent an alert: it does not accept *us*.
    #[error("the peer refused")]
    Refused,
    /// What the peer speaks is not TLS 1.3.
    #[error("the peer does not speak our TLS")]
    Protocol,
    /// The connection ended.
    #[error("the connection ended")]
    Closed,
    /// The peer was too slow.
    #[error("it took longer than {HANDSHAKE_TIMEOUT:?}")]
    Timeout,
}

struct List<'a>(&'a [SpiffeId]);

impl std::fmt::Display for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((first, others)) = self.0.split_first() else { return f.write_str("nobody") };
        first.fmt(f)?;
        others.iter().try_for_each(|other| write!(f, " or {other}"))
    }
}

/// How to connect to one backend, prepared once: our certificate, the identities that we expect, the protocols.
#[derive(Clone)]
pub struct ClientTls {
    connector: TlsConnector,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl ClientTls {
    pub(crate) fn new(connector: TlsConnector) -> Self {
        Self { connector }
    }

    /// Proves who we are and makes the server prove who it is.
    ///
    /// A server that refuses *us* may say so only after this has succeeded, in answer to what is sent first (TLS 1.3).
    pub async fn connect<S>(&self, stream: S) -> Result<(TlsStream<S>, Peer), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // rustls wants a name; an address is not sent (SNI is off), and the verifier does not look at it.
        let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let stream = in_time(self.connector.connect(nobody, stream)).await?;
        let peer = Peer::of(stream.get_ref().1)?;
        Ok((TlsStream::Client(stream), peer))
    }
}

pub(crate) async fn accept<S>(acceptor: TlsAcceptor, stream: S) -> Result<(TlsStream<S>, Peer), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = in_time(acceptor.accept(stream)).await?;
    let peer = Peer::of(stream.get_ref().1)?;
    Ok((TlsStream::Server(stream), peer))
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> Result<T, HandshakeError> {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(done) => done.map_err(|error| HandshakeError { reason: HandshakeFailure::of(&error), source: Some(error) }),
        Err(_elapsed) => Err(HandshakeFailure::Timeout.into()),
    }
}

impl Peer {
    fn of(connection: &CommonState) -> Result<Self, HandshakeError> {
        let alpn = connection.alpn_protocol().ok_or(HandshakeFailure::NoAlpn)?.to_vec();
        let certificates = connection.peer_certificates().unwrap_or_default();
        let leaf = certificates.first().ok_or(HandshakeFailure::NoCertificate)?;
        let Leaf { id, not_after, .. } = Leaf::parse(leaf).map_err(HandshakeFailure::NotAnIdentity)?;
        Ok(Self { id, not_after, alpn })
    }
}

impl From<HandshakeFailure> for HandshakeError {
    fn from(reason: HandshakeFailure) -> Self {
        Self { reason, source: None }
    }
}

impl HandshakeFailure {
    fn of(error: &io::Error) -> Self {
        use rustls::Error;
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Self::Closed };
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Self::NoAlpn
            }
            Error::AlertReceived(_) => Self::Refused,
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<Self>().cloned().unwrap_or(Self::Untrusted)
            }
            Error::InvalidCertificate(
                CertificateError::ExpiredContext { .. } | CertificateError::NotValidYetContext { .. },
            ) => Self::Expired,
            Error::InvalidCertificate(_) => Self::Untrusted,
            _ => Self::Protocol,
        }
    }
}
