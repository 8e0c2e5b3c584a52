//! The API's answers, as they go over the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::SystemTime;

use samspill_model::identity::SpiffeId;
use samspill_model::intent::{PathMatch, PathRewrite};
use samspill_model::plan::Generation;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::holders;
use crate::executor::{Scaled, View};
use crate::identity::Issued;
use crate::planner::EDGE_NODE;

/// A list that ends here; `next` is for the day when one does not.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> List<T> {
    /// Empty before there is a first plan.
    pub(super) fn of(items: Option<Vec<T>>) -> Self {
        Self { items: items.unwrap_or_default(), next: None }
    }
}

/// One port of a Service.
#[derive(Debug, Serialize)]
pub(super) struct Service {
    service: String,
    namespace: String,
    port: u16,
    protocol: samspill_model::intent::AppProtocol,
    identities: Vec<SpiffeId>,
    endpoints: Vec<SocketAddr>,
}

impl Service {
    pub(super) fn all(view: &View) -> Vec<Self> {
        let backends = view.snapshot.backends.values();
        let service = |backend: &samspill_model::snapshot::Backend| Self {
            service: backend.name.service.clone(),
            namespace: backend.name.namespace.clone(),
            port: backend.name.port,
            protocol: backend.protocol,
            identities: backend.identities.clone(),
            endpoints: backend.endpoints.clone(),
        };
        backends.map(service).collect()
    }
}

/// One rule of the edge, in the files' order; the edge takes the most specific.
#[derive(Debug, Serialize)]
pub(super) struct Route {
    route: String,
    r#match: &'static str,
    path: String,
    /// What stands in place of the match, or of the whole path.
    rewrite: Option<String>,
    backends: Vec<Share>,
}

#[derive(Debug, Serialize)]
struct Share {
    service: String,
    weight: u32,
}

impl Route {
    pub(super) fn all(view: &View) -> Vec<Self> {
        let route = |route: &samspill_model::intent::EdgeRoute| {
            let (r#match, path) = match &route.path {
                PathMatch::Exact(path) => ("exact", path),
                PathMatch::Prefix(path) => ("prefix", path),
            };
            let rewrite = route.rewrite.as_ref().map(|rewrite| match rewrite {
                PathRewrite::ReplacePrefix(path) | PathRewrite::ReplaceFull(path) => path.clone(),
            });
            let share = |share: &samspill_model::intent::WeightedService| Share {
                service: share.service.to_string(),
                weight: share.weight,
            };
            let backends = route.backends.iter().map(share).collect();
            Self { route: route.route.clone(), r#match, path: path.clone(), rewrite, backends }
        };
        view.intent.routes.iter().map(route).collect()
    }
}

/// One identity, and the certificates that prove it.
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    identity: SpiffeId,
    /// Who proves it.
    instances: Vec<String>,
    /// How many certificates this controller has issued for it since it started.
    issued: u64,
    /// When the newest that it has issued or been shown ends (RFC 3339); null before the first.
    not_after: Option<String>,
}

impl Certificate {
    pub(super) fn all(view: &View, trust_domain: &str, issued: &Issued) -> Vec<Self> {
        let instances = view.inventory.instances.iter();
        let mut identities: BTreeSet<SpiffeId> =
            instances.map(|instance| crate::snapshot::identity(trust_domain, instance)).collect();
        let edge = SpiffeId::edge(trust_domain);
        if view.inventory.edge.is_some() {
            identities.insert(edge.clone());
        }
        let certificate = |id: SpiffeId| {
            let instances = if id == edge { vec![EDGE_NODE.to_owned()] } else { holders(view, trust_domain, &id) };
            let (count, not_after) = issued.get(&id).map_or((0, None), |(count, end)| (*count, Some(*end)));
            Self { identity: id, instances, issued: count, not_after: not_after.and_then(rfc3339) }
        };
        identities.into_iter().map(certificate).collect()
    }
}

/// One live proxy, and how far it has come.
#[derive(Debug, Serialize)]
pub(super) struct Proxy {
    node: String,
    /// The newest generation that it has wholly acknowledged; null while it has no stream.
    generation: Option<Generation>,
    /// What it refuses of what it was sent.
    refusal: Option<String>,
}

impl Proxy {
    pub(super) fn all(
        view: &View,
        generations: &BTreeMap<String, Generation>,
        refusals: &BTreeMap<String, String>,
    ) -> Vec<Self> {
        let instances = view.inventory.instances.iter().filter(|instance| instance.sidecar.is_some());
        let sidecars = instances.map(|instance| instance.name.to_string());
        let edge = view.inventory.edge.iter().map(|_process| EDGE_NODE.to_owned());
        let proxy = |node: String| Self {
            generation: generations.get(&node).copied(),
            refusal: refusals.get(&node).cloned(),
            node,
        };
        edge.chain(sidecars).map(proxy).collect()
    }
}

/// What a scale has led to.
#[derive(Debug, Serialize)]
pub(super) struct ScaleAnswer {
    workload: String,
    replicas: u32,
    /// The plan that says so.
    generation: Generation,
}

impl From<Scaled> for ScaleAnswer {
    fn from(scaled: Scaled) -> Self {
        let Scaled { workload, replicas, generation } = scaled;
        Self { workload: workload.to_string(), replicas, generation }
    }
}

fn rfc3339(time: SystemTime) -> Option<String> {
    // A certificate has no fractions of a second, and a date that RFC 3339 cannot say is later than any certificate's.
    OffsetDateTime::from(time).truncate_to_second().format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_has_no_fractions_of_a_second() {
        let end = SystemTime::UNIX_EPOCH + Duration::new(1_795_403_155, 999_999_999);
        assert_eq!(rfc3339(end).as_deref(), Some("2026-11-23T03:05:55Z"));
    }
}
