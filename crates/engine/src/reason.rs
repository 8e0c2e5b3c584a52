//! Why a request was answered by the mesh and not by the service.

use std::error::Error;
use std::fmt;

use http::{HeaderName, StatusCode};

/// The header that names the [`Reason`] of an answer that a proxy made itself.
pub const REASON_HEADER: HeaderName = HeaderName::from_static("x-samspill-reason");

/// What stopped a request. The table of `docs/reference/errors.md` is made from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request breaks the rules of HTTP.
    Malformed,
    /// No service has the name that the request was sent to.
    UnknownService,
    /// No rule of the edge is for the path, or the rule has no backend with weight.
    NoRoute,
    /// The controller has not yet said what the name means.
    DiscoveryUnavailable,
    /// The service has no endpoint that is ready.
    NoReadyEndpoint,
    /// No endpoint accepted a connection, or the TLS handshake failed.
    ConnectFailed,
    /// An endpoint proved another identity than the service's.
    IdentityMismatch,
    /// The sidecar could not connect to its app: no byte of the request has reached it.
    AppUnreachable,
    /// The connection ended after the request had been sent and before a sound answer came.
    UpstreamReset,
    /// The proxy is stopping.
    Draining,
    /// This proxy has no identity or no configuration yet.
    NotReady,
}

impl Reason {
    /// Every reason, in the order of the reference.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::UnknownService,
        Self::NoRoute,
        Self::DiscoveryUnavailable,
        Self::NoReadyEndpoint,
        Self::ConnectFailed,
        Self::IdentityMismatch,
        Self::AppUnreachable,
        Self::UpstreamReset,
        Self::Draining,
        Self::NotReady,
    ];

    /// The value of [`REASON_HEADER`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownService => "unknown-service",
            Self::NoRoute => "no-route",
            Self::DiscoveryUnavailable => "discovery-unavailable",
            Self::NoReadyEndpoint => "no-ready-endpoint",
            Self::ConnectFailed => "connect-failed",
            Self::IdentityMismatch => "identity-mismatch",
            Self::AppUnreachable => "app-unreachable",
            Self::UpstreamReset => "upstream-reset",
            Self::Draining => "draining",
            Self::NotReady => "not-ready",
        }
    }

    /// The status of an HTTP answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownService | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::IdentityMismatch | Self::UpstreamReset => StatusCode::BAD_GATEWAY,
            Self::DiscoveryUnavailable
            | Self::NoReadyEndpoint
            | Self::ConnectFailed
            | Self::AppUnreachable
            | Self::Draining
            | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `grpc-status` of a gRPC answer: INTERNAL, UNIMPLEMENTED or UNAVAILABLE.
    pub fn grpc_status(self) -> u8 {
        const UNIMPLEMENTED: u8 = 12;
        const INTERNAL: u8 = 13;
        const UNAVAILABLE: u8 = 14;
        match self {
            Self::Malformed => INTERNAL,
            Self::UnknownService | Self::NoRoute => UNIMPLEMENTED,
            Self::DiscoveryUnavailable
            | Self::NoReadyEndpoint
            | Self::ConnectFailed
            | Self::IdentityMismatch
            | Self::AppUnreachable
            | Self::UpstreamReset
            | Self::Draining
            | Self::NotReady => UNAVAILABLE,
        }
    }

    /// One sentence for the caller.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is not well-formed HTTP",
            Self::UnknownService => "No service has this name",
            Self::NoRoute => "No route leads from here to a service",
            Self::DiscoveryUnavailable => "The controller has not said yet where this service is",
            Self::NoReadyEndpoint => "The service has no instance that is ready",
            Self::ConnectFailed => "No instance of the service could be connected to",
            Self::IdentityMismatch => "The instance that answered is not the service",
            Self::AppUnreachable => "The instance's sidecar cannot reach its application",
            Self::UpstreamReset => "The connection broke before the service answered",
            Self::Draining => "This instance is stopping",
            Self::NotReady => "This proxy has no identity or no configuration yet",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that was not answered by a service: what the caller is told, and what the log is told.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", reason.title())]
pub struct Failure {
    /// For the caller.
    pub reason: Reason,
    /// More for the caller, where it helps: a name or a rule, never an address.
    pub detail: Option<String>,
    /// For the log.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure without a cause beneath it.
    pub fn new(reason: Reason) -> Self {
        Self { reason, detail: None, source: None }
    }

    /// The same, with more for the caller.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, with its cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_by_name() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
