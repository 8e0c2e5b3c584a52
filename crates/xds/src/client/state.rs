//! What a proxy wants, knows and has applied. No I/O: responses in, updates and requests out.
//!
//! Everything is level-triggered: whatever has happened, [`State::settle`] compares what is needed with what is there. So a
//! lost stream needs no special case.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc;
use samspill_model::name::{InstanceName, ServicePort};
use samspill_model::snapshot::{Backend, EDGE_ROUTES, Inbound, RouteTable};
use tonic::Code;

use super::{RouteKey, Update, Wanted};
use crate::kind::Kind;
use crate::messages::{Endpoints, Exists, Target};
use table::{Slot, Table};

/// Services that one proxy follows; a call to one more is a call to an unknown one. Keeps an app that makes up names below
/// the server's limit, which would cost its proxy the whole stream.
const MAX_SERVICES: usize = 2_000;

/// The longest reason for a refusal, in bytes: HTTP/2 would carry more, a log should not.
const MAX_REASON: usize = 4_000;

/// Everything about one proxy's configuration.
#[derive(Debug, Default)]
pub(super) struct State {
    services: BTreeSet<ServicePort>,
    edge: bool,
    instances: BTreeSet<InstanceName>,
    /// Services above the limit that have not been answered yet.
    turned_away: Vec<ServicePort>,

    listeners: Table<Exists>,
    routes: Table<RouteTable>,
    targets: Table<Target>,
    endpoints: Table<Endpoints>,
    inbound: Table<Inbound>,

    applied_routes: BTreeMap<RouteKey, Option<RouteTable>>,
    applied_backends: BTreeMap<ServicePort, Option<Backend>>,
    applied_inbound: BTreeMap<InstanceName, Option<Inbound>>,
}

impl State {
    /// Takes in a wish. [`settle`](Self::settle) acts on it.
    pub(super) fn want(&mut self, wanted: Wanted) {
        match wanted {
            Wanted::Service(name) if self.services.contains(&name) => {}
            Wanted::Service(name) if self.services.len() < MAX_SERVICES => drop(self.services.insert(name)),
            Wanted::Service(name) => {
                tracing::warn!(service = %name, "not followed: this proxy follows {MAX_SERVICES} services already");
                self.turned_away.push(name);
            }
            Wanted::Edge => self.edge = true,
            Wanted::Inbound(name) => drop(self.instances.insert(name)),
        }
    }

    /// The first requests of a stream: all names, and the versions that are in force. `Inbound`, which is the last, tells the
    /// server that this is all.
    pub(super) fn open(&mut self, apply: &mut impl FnMut(Update)) -> Vec<DeltaDiscoveryRequest> {
        drop(self.settle(apply));
        let requests = [
            self.targets.open(),
            self.endpoints.open(),
            self.listeners.open(),
            self.routes.open(),
            self.inbound.open(),
        ];
        // The first request of a type without a name would ask for everything.
        let needed = |request: &DeltaDiscoveryRequest| {
            !request.resource_names_subscribe.is_empty() || request.type_url == Kind::Inbound.type_url()
        };
        requests.into_iter().filter(needed).collect()
    }

    /// Takes in a response, applies what follows from it, subscribes to what that needs, and then answers it.
    pub(super) fn receive(
        &mut self,
        response: DeltaDiscoveryResponse,
        apply: &mut impl FnMut(Update),
    ) -> Vec<DeltaDiscoveryRequest> {
        let (type_url, nonce) = (response.type_url.clone(), response.nonce.clone());
        let generation = response.system_version_info.clone();
        let refusals = match Kind::from_type_url(&type_url) {
            Some(Kind::Cluster) => self.targets.receive(response),
            Some(Kind::Endpoints) => self.endpoints.receive(response),
            Some(Kind::Listener) => self.listeners.receive(response),
            Some(Kind::Routes) => self.routes.receive(response),
            Some(Kind::Inbound) => self.inbound.receive(response),
            None => vec![format!("the type `{type_url}` is outside of the profile")],
        };
        let mut requests = self.settle(apply);
        // After the subscriptions: what these routes need must be known to the server before it counts them as taken.
        requests.push(DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: refusal(&refusals, &generation),
            ..DeltaDiscoveryRequest::default()
        });
        requests
    }

    /// Applies what can be applied, and brings the subscriptions up to what is needed.
    pub(super) fn settle(&mut self, apply: &mut impl FnMut(Update)) -> Vec<DeltaDiscoveryRequest> {
        // Phase 1: subscribe to what is needed for what is wanted, and still to what is in use.
        let mut requests = self.subscribe();

        // Phase 2: apply, backends before the routes that lead to them.
        self.apply_backends(apply);
        self.apply_routes(apply);
        self.apply_inbound(apply);
        for name in self.turned_away.drain(..) {
            apply(Update::Routes(RouteKey::Service(name), None));
        }

        // Phase 3: what was in use only by the former routes is not any more.
        requests.extend(self.subscribe());
        let unused: Vec<_> =
            self.applied_backends.extract_if(.., |name, _backend| !self.targets.has(&name.to_string())).collect();
        for (name, backend) in unused {
            if backend.is_some() {
                apply(Update::Backend(name, None));
            }
        }
        requests
    }

    fn subscribe(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let listeners: BTreeSet<String> = self.services.iter().map(ServicePort::to_string).collect();
        let mut routes: BTreeSet<String> =
            listeners.iter().filter(|name| self.listeners.get(name).is_some()).cloned().collect();
        if self.edge {
            routes.insert(EDGE_ROUTES.to_owned());
        }
        let arrived = routes.iter().filter_map(|name| self.routes.get(name));
        let in_use = self.applied_routes.values().flatten();
        let backends: BTreeSet<String> =
            arrived.chain(in_use).flat_map(backend_names).map(ServicePort::to_string).collect();
        let instances = self.instances.iter().map(|name| name.0.clone()).collect();

        let requests = [
            self.targets.subscribe(&backends),
            self.endpoints.subscribe(&backends),
            self.listeners.subscribe(&listeners),
            self.routes.subscribe(&routes),
            self.inbound.subscribe(&instances),
        ];
        requests.into_iter().flatten().collect()
    }

    fn apply_backends(&mut self, apply: &mut impl FnMut(Update)) {
        for name in self.targets.names() {
            let Ok(backend) = name.parse::<ServicePort>() else { continue };
            let known = match (self.targets.slot(name), self.endpoints.slot(name)) {
                (Slot::Absent, _) | (_, Slot::Absent) => None,
                (Slot::Known { value: target, .. }, Slot::Known { value: endpoints, .. }) => {
                    Some((target, &endpoints.0))
                }
                (Slot::Waiting, _) | (_, Slot::Waiting) => continue,
            };
            let is_applied = match (self.applied_backends.get(&backend), known) {
                (Some(None), None) => true,
                (Some(Some(old)), Some((target, endpoints))) => {
                    old.protocol == target.protocol
                        && old.identities == target.identities
                        && old.endpoints == *endpoints
                }
                _ => false,
            };
            if is_applied {
                continue;
            }
            let new = known.map(|(target, endpoints)| Backend {
                name: backend.clone(),
                protocol: target.protocol,
                identities: target.identities.clone(),
                endpoints: endpoints.clone(),
            });
            self.applied_backends.insert(backend.clone(), new.clone());
            apply(Update::Backend(backend, new));
        }
    }

    fn apply_routes(&mut self, apply: &mut impl FnMut(Update)) {
        let services = self.services.iter().cloned().map(RouteKey::Service);
        for key in services.chain(self.edge.then_some(RouteKey::Edge)) {
            let Some(routes) = self.usable_routes(&key) else { continue };
            if self.applied_routes.get(&key).map(Option::as_ref) != Some(routes) {
                let routes = routes.cloned();
                self.applied_routes.insert(key.clone(), routes.clone());
                apply(Update::Routes(key, routes));
            }
        }
    }

    /// The newest routes, if it is known whether there are any, and what becomes of each backend that they name.
    fn usable_routes(&self, key: &RouteKey) -> Option<Option<&RouteTable>> {
        let name = match key {
            RouteKey::Edge => EDGE_ROUTES.to_owned(),
            RouteKey::Service(service) => {
                let name = service.to_string();
                match self.listeners.slot(&name) {
                    Slot::Waiting => return None,
                    Slot::Absent => return Some(None),
                    Slot::Known { .. } => name,
                }
            }
        };
        match self.routes.slot(&name) {
            Slot::Waiting => None,
            Slot::Absent => Some(None),
            Slot::Known { value, .. } => {
                backend_names(value).all(|name| self.applied_backends.contains_key(name)).then_some(Some(value))
            }
        }
    }

    fn apply_inbound(&mut self, apply: &mut impl FnMut(Update)) {
        for instance in &self.instances {
            let inbound = match self.inbound.slot(instance.as_str()) {
                Slot::Waiting => continue,
                Slot::Absent => None,
                Slot::Known { value, .. } => Some(value),
            };
            if self.applied_inbound.get(instance).map(Option::as_ref) != Some(inbound) {
                self.applied_inbound.insert(instance.clone(), inbound.cloned());
                apply(Update::Inbound(instance.clone(), inbound.cloned()));
            }
        }
    }
}

fn backend_names(routes: &RouteTable) -> impl Iterator<Item = &ServicePort> {
    routes.rules.iter().flat_map(|rule| &rule.backends).map(|backend| &backend.backend)
}

/// What a NACK says; nothing if there is nothing to refuse.
fn refusal(problems: &[String], generation: &str) -> Option<rpc::Status> {
    if problems.is_empty() {
        return None;
    }
    let mut message = problems.join("; ");
    message.truncate(message.floor_char_boundary(MAX_REASON));
    tracing::warn!(generation, reason = message, "configuration refused; the last good stays in force");
    Some(rpc::Status { code: Code::InvalidArgument.into(), message, details: Vec::new() })
}

#[cfg(test)]
mod tests;
