//! What a stream wants of one resource type, and what it has of it.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, Resource};

use crate::kind::Kind;
use crate::render::Resources;

const WILDCARD: &str = "*";

/// What has to be said for a proxy to be up to date.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// What it has not, has in another version, or asks for again.
    pub(super) upserts: BTreeSet<String>,
    /// What it has not and cannot have.
    pub(super) absent: BTreeSet<String>,
    /// What it has and must drop.
    pub(super) removed: BTreeSet<String>,
    /// An answer is due even if it says nothing.
    pub(super) answer: bool,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.absent.is_empty() && self.removed.is_empty() && !self.answer
    }
}

/// One type's part of a stream.
#[derive(Debug)]
pub(super) struct Subscription {
    kind: Kind,
    names: BTreeSet<String>,
    wildcard: bool,
    /// The version that the proxy has of each name, or that it knows that there is none.
    known: BTreeMap<String, Option<String>>,
    /// Names to be sent whatever the proxy has.
    again: BTreeSet<String>,
    /// Envoy waits for an answer to its wildcard, even an empty one.
    answer: bool,
}

impl Subscription {
    /// From the first request of the type, before its names are taken in.
    pub(super) fn new(kind: Kind, first: &DeltaDiscoveryRequest) -> Self {
        let wildcard = kind.has_wildcard() && first.resource_names_subscribe.is_empty();
        let versions = first.initial_resource_versions.iter();
        Self {
            kind,
            names: BTreeSet::new(),
            wildcard,
            known: versions.map(|(name, version)| (name.clone(), Some(version.clone()))).collect(),
            again: BTreeSet::new(),
            answer: wildcard && first.initial_resource_versions.is_empty(),
        }
    }

    /// Takes in what a request subscribes to and unsubscribes from; returns the latter.
    pub(super) fn change(&mut self, request: DeltaDiscoveryRequest) -> Vec<String> {
        for name in request.resource_names_subscribe {
            if name == WILDCARD && self.kind.has_wildcard() {
                self.answer |= !self.wildcard && self.known.is_empty();
                self.wildcard = true;
            } else if !self.names.insert(name.clone()) {
                self.again.insert(name);
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == WILDCARD && self.wildcard {
                self.wildcard = false;
                self.known.retain(|name, _version| self.names.contains(name));
            } else if self.names.remove(name) && !self.wildcard {
                self.known.remove(name);
                self.again.remove(name);
            }
        }
        request.resource_names_unsubscribe
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Has those of these names that are subscribed to sent, changed or not.
    pub(super) fn send_again(&mut self, names: &BTreeSet<String>) {
        let names = names.iter().filter(|&name| self.wildcard || self.names.contains(name));
        self.again.extend(names.cloned());
    }

    /// What is still to be said. `allowed` judges the names of `Inbound`s.
    pub(super) fn difference(&self, resources: &Resources, allowed: &impl Fn(&str) -> bool) -> Difference {
        let mut difference = Difference { answer: self.answer, ..Difference::default() };
        let mut compare = |name: &String| {
            let visible = self.kind != Kind::Inbound || allowed(name);
            let version = resources.get(self.kind, name).filter(|_resource| visible).map(|resource| &resource.version);
            let list = match (version, self.known.get(name)) {
                (Some(version), Some(Some(known))) if version == known && !self.again.contains(name) => return,
                (None, Some(None)) if !self.again.contains(name) => return,
                (Some(_), _) => &mut difference.upserts,
                (None, Some(Some(_))) => &mut difference.removed,
                (None, _) => &mut difference.absent,
            };
            list.insert(name.clone());
        };
        if self.wildcard {
            self.known.keys().for_each(&mut compare);
            resources.names(self.kind).for_each(&mut compare);
        }
        self.names.iter().for_each(&mut compare);
        difference
    }

    /// Notes what is on its way to the proxy.
    pub(super) fn told(&mut self, upserts: &[Resource], removed: &BTreeSet<String>) {
        for resource in upserts {
            self.known.insert(resource.name.clone(), Some(resource.version.clone()));
            self.again.remove(&resource.name);
        }
        for name in removed {
            self.again.remove(name);
            if self.names.contains(name) {
                self.known.insert(name.clone(), None);
            } else {
                self.known.remove(name);
            }
        }
        self.answer = false;
    }
}
