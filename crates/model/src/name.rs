//! Names of services and instances, and how a caller may spell them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The port that a name without one means, as for any `http:` URL (RFC 9110 §4.2.1).
pub const DEFAULT_PORT: u16 = 80;

/// A port of a service: what a caller names and what a listener resource is called, `service.namespace:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServicePort {
    /// The Service's name, a DNS label.
    pub service: String,
    /// The Service's namespace, a DNS label.
    pub namespace: String,
    /// The Service's port, not the container's.
    pub port: u16,
}

/// Why a text names no service. The message is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a service name: {problem}; write <service>[.<namespace>[.svc.cluster.local]][:<port>]")]
pub struct ParseNameError {
    text: String,
    problem: &'static str,
}

impl ServicePort {
    /// A name from its parts, which the caller has checked.
    pub fn new(service: impl Into<String>, namespace: impl Into<String>, port: u16) -> Self {
        Self { service: service.into(), namespace: namespace.into(), port }
    }

    /// Reads what a caller wrote in `Host` or `:authority`: `<service>[.<namespace>[.svc.cluster.local]][:<port>]`.
    ///
    /// Case is folded and one trailing dot is allowed (RFC 9110 §4.2.3, RFC 1034 §3.1). Without a namespace the
    /// caller's own is meant, without a port [`DEFAULT_PORT`].
    ///
    /// # Errors
    /// The text has another shape, a part that is no DNS label, or a port that is no number: answer 404
    /// `unknown-service`.
    pub fn resolve(authority: &str, own_namespace: &str) -> Result<Self, ParseNameError> {
        let error = |problem| ParseNameError { text: authority.to_owned(), problem };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_err| error("the port is not a number up to 65535"))?),
            None => (authority, DEFAULT_PORT),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let host = host.strip_suffix(".svc.cluster.local").unwrap_or(&host);
        let (service, namespace) = host.split_once('.').unwrap_or((host, own_namespace));
        if !is_dns_label(service) || !is_dns_label(namespace) {
            return Err(error("each part is a DNS label (a-z, 0-9, inner hyphens; 63 characters at most)"));
        }
        Ok(Self::new(service, namespace, port))
    }
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}:{}", self.service, self.namespace, self.port)
    }
}

impl FromStr for ServicePort {
    type Err = ParseNameError;

    /// Reads the full form, `service.namespace:port`, that [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let full = text.contains('.') && text.contains(':');
        if !full {
            return Err(ParseNameError { text: text.to_owned(), problem: "namespace and port are needed here" });
        }
        Self::resolve(text, "")
    }
}

impl TryFrom<String> for ServicePort {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ServicePort> for String {
    fn from(name: ServicePort) -> Self {
        name.to_string()
    }
}

/// A workload: one Deployment, `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkloadName {
    /// The Deployment's namespace.
    pub namespace: String,
    /// The Deployment's name; what `service.name` says in every span of the workload.
    pub name: String,
}

impl WorkloadName {
    /// A name from its parts, which the caller has checked.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One running copy of a workload: `<workload>-<ordinal>`, unique within a mesh because workload names are.
///
/// An ordinal is used again only after its former holder has left the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceName(pub String);

impl InstanceName {
    /// The name of a workload's copy number `ordinal`, from 0. The namespace is part of it unless it is `default`.
    pub fn new(workload: &WorkloadName, ordinal: u32) -> Self {
        let WorkloadName { namespace, name } = workload;
        if namespace == "default" {
            Self(format!("{name}-{ordinal}"))
        } else {
            Self(format!("{name}.{namespace}-{ordinal}"))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a DNS label: a-z, 0-9 and inner hyphens, 1 to 63 characters (RFC 1123 §2.1).
pub fn is_dns_label(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_leave_out_what_is_its_own() {
        let invoicing = ServicePort::new("invoicing", "craterate", 80);
        for spelling in [
            "invoicing",
            "Invoicing.",
            "invoicing:80",
            "invoicing.craterate",
            "invoicing.craterate.svc.cluster.local:80",
        ] {
            assert_eq!(ServicePort::resolve(spelling, "craterate").as_ref(), Ok(&invoicing), "{spelling}");
        }
        assert_eq!(ServicePort::resolve("a.b:50051", "c"), Ok(ServicePort::new("a", "b", 50051)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ":80", "a:port", "a:65536", "a..b", "a.b.c", "-a", "a_b", "[::1]:80", "a.b.example.com"] {
            assert!(ServicePort::resolve(text, "default").is_err(), "{text}");
        }
    }

    #[test]
    fn the_full_form_reads_back() {
        let name = ServicePort::new("invoicing", "craterate", 80);
        assert_eq!(name.to_string().parse(), Ok(name));
        assert!("invoicing".parse::<ServicePort>().is_err());
    }
}
