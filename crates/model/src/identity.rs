//! SPIFFE identities: who a workload is, proven by its certificate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The trust domain of a mesh that sets none.
pub const DEFAULT_TRUST_DOMAIN: &str = "samspill.local";

/// The namespace of the mesh's own parts.
pub const SYSTEM_NAMESPACE: &str = "samspill-system";

/// The longest SPIFFE ID, in bytes (SPIFFE-ID §2.3).
const MAX_LENGTH: usize = 2048;

/// `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`.
///
/// Only this shape is an identity here: a well-formed SPIFFE ID of another shape is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    /// Lower-case letters, digits, `.`, `-` and `_`; at most 255 bytes.
    pub trust_domain: String,
    /// The workload's namespace.
    pub namespace: String,
    /// The workload's ServiceAccount.
    pub service_account: String,
}

/// Why a text is no identity of this mesh's shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an identity: {problem}")]
pub struct ParseIdentityError {
    text: String,
    problem: &'static str,
}

impl SpiffeId {
    /// An identity from its parts, which the caller has checked.
    pub fn new(
        trust_domain: impl Into<String>,
        namespace: impl Into<String>,
        service_account: impl Into<String>,
    ) -> Self {
        Self { trust_domain: trust_domain.into(), namespace: namespace.into(), service_account: service_account.into() }
    }

    /// The edge's identity in a trust domain.
    pub fn edge(trust_domain: &str) -> Self {
        Self::new(trust_domain, SYSTEM_NAMESPACE, "edge")
    }

    /// The controller's identity in a trust domain.
    pub fn controller(trust_domain: &str) -> Self {
        Self::new(trust_domain, SYSTEM_NAMESPACE, "controller")
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl FromStr for SpiffeId {
    type Err = ParseIdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| ParseIdentityError { text: text.escape_debug().to_string(), problem };
        if text.len() > MAX_LENGTH {
            return Err(error("longer than 2048 bytes"));
        }
        let rest = text.strip_prefix("spiffe://").ok_or_else(|| error("the scheme is not spiffe"))?;
        let mut parts = rest.split('/');
        let (Some(trust_domain), Some("ns"), Some(namespace), Some("sa"), Some(service_account), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(error("the path is not /ns/<namespace>/sa/<service-account>"));
        };
        let domain_byte = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_".contains(&c);
        if trust_domain.is_empty() || trust_domain.len() > 255 || !trust_domain.bytes().all(domain_byte) {
            return Err(error("the trust domain has other characters than a-z 0-9 . - _, or none"));
        }
        let segment_byte = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
        let is_segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(segment_byte);
        if !is_segment(namespace) || !is_segment(service_account) {
            return Err(error("a path segment is empty, relative or has other characters than a-z A-Z 0-9 . - _"));
        }
        Ok(Self::new(trust_domain, namespace, service_account))
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = ParseIdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back() {
        let id = SpiffeId::new("samspill.local", "craterate", "invoicing");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "https://samspill.local/ns/a/sa/b",
            "spiffe:///ns/a/sa/b",
            "spiffe://samspill.local",
            "spiffe://samspill.local/",
            "spiffe://samspill.local/ns/a",
            "spiffe://samspill.local/ns/a/sa/b/c",
            "spiffe://samspill.local/ns//sa/b",
            "spiffe://samspill.local/ns/../sa/b",
            "spiffe://Samspill.local/ns/a/sa/b",
            "spiffe://samspill.local:443/ns/a/sa/b",
            "spiffe://user@samspill.local/ns/a/sa/b",
            "spiffe://samspill.local/ns/a/sa/b?q",
            "spiffe://samspill.local/ns/a/sa/b#f",
            "spiffe://samspill.local/ns/a/sa/%62",
            "spiffe://samspill.local/ns/a/sa/b\0",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
        }
        assert!(format!("spiffe://d/ns/a/sa/{}", "x".repeat(MAX_LENGTH)).parse::<SpiffeId>().is_err());
    }
}
