//! A snapshot as resources: what a controller has for its proxies.

use std::collections::BTreeMap;

use envoy_types::pb::google::protobuf::Any;
use samspill_model::plan::Generation;
use samspill_model::snapshot::{EDGE_ROUTES, Snapshot};
use sha2::{Digest, Sha256};

use crate::kind::Kind;
use crate::messages::{Endpoints, Exists, Profile, Target, pack};

/// All resources as of one generation. Equal snapshots render equally, whoever renders them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// The generation of the snapshot.
    pub generation: Generation,
    by_kind: BTreeMap<Kind, BTreeMap<String, Resource>>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    /// A hash of the payload, so that a restarted controller has the same ones.
    pub(crate) version: String,
    pub(crate) payload: Any,
}

impl Resources {
    /// Says a snapshot in Envoy's words.
    #[must_use]
    pub fn render(snapshot: &Snapshot) -> Self {
        let mut resources = Self { generation: snapshot.generation, by_kind: BTreeMap::new() };
        for (name, backend) in &snapshot.backends {
            let name = name.to_string();
            let target = Target { protocol: backend.protocol, identities: backend.identities.clone() };
            resources.insert(&name, &target);
            resources.insert(&name, &Endpoints(backend.endpoints.clone()));
        }
        for (name, routes) in &snapshot.services {
            let name = name.to_string();
            resources.insert(&name, &Exists);
            resources.insert(&name, routes);
        }
        resources.insert(EDGE_ROUTES, &snapshot.edge);
        for (instance, inbound) in &snapshot.inbound {
            resources.insert(instance.as_str(), inbound);
        }
        resources
    }

    /// Puts something else in place of a resource's payload.
    #[cfg(test)]
    pub(crate) fn tamper(&mut self, kind: Kind, name: &str, payload: Any) {
        let resource = Resource { version: version(&payload), payload };
        self.by_kind.entry(kind).or_default().insert(name.to_owned(), resource);
    }

    fn insert<P: Profile>(&mut self, name: &str, value: &P) {
        let payload = pack(name, value);
        let resource = Resource { version: version(&payload), payload };
        self.by_kind.entry(P::KIND).or_default().insert(name.to_owned(), resource);
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<&Resource> {
        self.by_kind.get(&kind)?.get(name)
    }

    pub(crate) fn names(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.by_kind.get(&kind).into_iter().flat_map(BTreeMap::keys)
    }
}

/// 128 bits are plenty to tell a resource from its predecessors.
fn version(payload: &Any) -> String {
    let hash = Sha256::digest(&payload.value);
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
