//! [`Principal`]: for whom a call is made.

use std::fmt;

use samspill_model::identity::SpiffeId;
use serde_json::{Map, Value};

/// For whom a call is made: the service that calls, and the subject on whose behalf it says that it does.
///
/// The two are proven apart: the peer by its certificate, the subject by a token. A [`Client`](crate::Client) forwards
/// neither; who calls next is this service itself.
///
/// ```
/// use samspill::{Call, Principal};
///
/// fn who(call: &Call) -> String {
///     match call.principal() {
///         Principal { subject: Some(subject), .. } => format!("customer {}", subject.id()),
///         Principal { peer: Some(peer), .. } => format!("service {peer}"),
///         _ => "a stranger".to_owned(),
///     }
/// }
/// assert_eq!(who(&samspill::test::call()), "a stranger");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Principal {
    /// The service that called, as its certificate proved it to our sidecar. None outside of a mesh.
    pub peer: Option<SpiffeId>,
    /// Whom the bearer token names. None without a token, or where the service has not said whose tokens count
    /// ([`Service::jwt`](crate::Service::jwt)).
    pub subject: Option<Subject>,
}

/// Whom a token names, its signature, issuer, audience and times having been checked.
///
/// ```
/// fn may_refund(subject: &samspill::Subject) -> bool {
///     subject.claim("role").and_then(|role| role.as_str()) == Some("clerk")
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    pub(super) id: String,
    pub(super) issuer: String,
    pub(super) claims: Map<String, Value>,
}

impl Subject {
    /// The `sub` claim: unique for its issuer, never empty.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The `iss` claim.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Any other claim of the token.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

/// Without the claims: they may be personal, and this ends in logs.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("id", &self.id).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
