//! What is subscribed to of one resource type, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use crate::messages::{Profile, parse};

/// Names of one type.
#[derive(Debug)]
pub(super) struct Table<P> {
    slots: BTreeMap<String, Slot<P>>,
}

/// What is known of a name.
#[derive(Debug)]
pub(super) enum Slot<P> {
    /// Nothing yet.
    Waiting,
    /// There is no such thing, as far as we can use it.
    Absent,
    /// The last good.
    Known {
        /// The server's name for this content.
        version: String,
        /// The content.
        value: P,
    },
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self { slots: BTreeMap::new() }
    }
}

impl<P: Profile> Table<P> {
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.slots.keys()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.slots.contains_key(name)
    }

    pub(super) fn slot(&self, name: &str) -> &Slot<P> {
        self.slots.get(name).unwrap_or(&Slot::Waiting)
    }

    pub(super) fn get(&self, name: &str) -> Option<&P> {
        match self.slot(name) {
            Slot::Known { value, .. } => Some(value),
            Slot::Waiting | Slot::Absent => None,
        }
    }

    /// The first request of a stream: all names, and what is in force.
    pub(super) fn open(&self) -> DeltaDiscoveryRequest {
        let version = |(name, slot): (&String, &Slot<P>)| match slot {
            Slot::Known { version, .. } => Some((name.clone(), version.clone())),
            Slot::Waiting | Slot::Absent => None,
        };
        DeltaDiscoveryRequest {
            type_url: P::KIND.type_url().to_owned(),
            resource_names_subscribe: self.slots.keys().cloned().collect(),
            initial_resource_versions: self.slots.iter().filter_map(version).collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    /// Makes these the names, and says so if they were others.
    pub(super) fn subscribe(&mut self, needed: &BTreeSet<String>) -> Option<DeltaDiscoveryRequest> {
        let new: Vec<String> = needed.iter().filter(|name| !self.slots.contains_key(*name)).cloned().collect();
        let old: Vec<String> = self.slots.keys().filter(|name| !needed.contains(*name)).cloned().collect();
        if new.is_empty() && old.is_empty() {
            return None;
        }
        self.slots.extend(new.iter().map(|name| (name.clone(), Slot::Waiting)));
        self.slots.retain(|name, _slot| needed.contains(name));
        Some(DeltaDiscoveryRequest {
            type_url: P::KIND.type_url().to_owned(),
            resource_names_subscribe: new,
            resource_names_unsubscribe: old,
            ..DeltaDiscoveryRequest::default()
        })
    }

    /// Takes in what is new, and keeps the last good where the new is not; returns what is wrong with that.
    pub(super) fn receive(&mut self, response: DeltaDiscoveryResponse) -> Vec<String> {
        let mut refusals = Vec::new();
        for resource in response.resources {
            // A name that we have just unsubscribed from may still arrive.
            let Some(slot) = self.slots.get_mut(&resource.name) else { continue };
            match parse(&resource.name, resource.resource.as_ref()) {
                Ok(value) => *slot = Slot::Known { version: resource.version, value },
                Err(refusal) => {
                    refusals.push(refusal.to_string());
                    if matches!(slot, Slot::Waiting) {
                        // Callers get an answer instead of waiting for a controller that has none.
                        *slot = Slot::Absent;
                    }
                }
            }
        }
        for name in response.removed_resources {
            if let Some(slot) = self.slots.get_mut(&name) {
                *slot = Slot::Absent;
            }
        }
        refusals
    }
}
