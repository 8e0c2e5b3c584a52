//! Who is at the other end: SPIFFE identities, proven by certificates in mutual TLS.
//!
//! TLS 1.3 only, an application protocol is always agreed on, and no session is resumed: rustls does not verify the peer
//! again on resumption, so that a ticket would outlive the certificate. Names and addresses prove nothing here; only
//! the one SPIFFE ID in the peer's certificate does.
//!
//! Start at [`Identity`]. Where certificates come from: [`authority`].

pub mod authority;
mod handshake;
mod identity;
mod request;
mod store;
mod svid;
#[cfg(test)]
mod tests;
mod verifier;

pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};
pub use tokio_rustls::TlsStream;

pub use handshake::{ClientTls, HandshakeError, HandshakeFailure, Peer};
pub use identity::{Identity, InvalidIdentity, TrustBundle};
pub use request::SigningRequest;
pub use store::IdentityStore;
pub use svid::SvidError;
