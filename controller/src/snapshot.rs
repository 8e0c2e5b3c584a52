//! Derives what the proxies are told from what is planned and what is observed.
//!
//! A pure function of plan, intent and inventory: a controller that returns says the same as the one before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, EdgeRoute, Intent, PathMatch, Service, ServicePortSpec, Workload};
use samspill_model::inventory::{Instance, Inventory};
use samspill_model::name::{InstanceName, WorkloadName};
use samspill_model::plan::{InstanceState, Plan};
use samspill_model::snapshot::{Backend, Inbound, InboundPort, RouteRule, RouteTable, Snapshot, WeightedBackend};

/// What all proxies together are told as of `plan`.
///
/// An endpoint is an instance that is planned to serve and observed to be ready.
pub(crate) fn derive(trust_domain: &str, plan: &Plan, intent: &Intent, inventory: &Inventory) -> Snapshot {
    let mut snapshot = Snapshot {
        generation: plan.generation,
        edge: edge_routes(&intent.routes),
        inbound: inbound(plan, intent, inventory),
        ..Snapshot::default()
    };
    let serving = serving(plan, inventory);
    for service in &intent.services {
        for port in &service.ports {
            let name = service.port_name(port);
            let everything = RouteRule {
                path: PathMatch::Prefix("/".to_owned()),
                rewrite: None,
                backends: vec![WeightedBackend { backend: name.clone(), weight: 1 }],
            };
            snapshot.services.insert(name.clone(), RouteTable { rules: vec![everything] });
            snapshot.backends.insert(name, backend(trust_domain, intent, service, port, &serving));
        }
    }
    snapshot
}

/// The identity of a workload's instance.
pub(crate) fn identity(trust_domain: &str, instance: &Instance) -> SpiffeId {
    SpiffeId::new(trust_domain, &instance.workload.namespace, &instance.service_account)
}

type Serving<'a> = Vec<(&'a Workload, &'a Instance)>;

fn serving<'a>(plan: &'a Plan, inventory: &'a Inventory) -> Serving<'a> {
    let ready: BTreeMap<&InstanceName, &Instance> =
        inventory.instances.iter().filter(|instance| instance.ready).map(|i| (&i.name, i)).collect();
    let planned = plan.instances.iter().filter(|planned| planned.state == InstanceState::Serve);
    planned.filter_map(|planned| Some((plan.workloads.get(planned.workload)?, *ready.get(&planned.name)?))).collect()
}

fn backend(
    trust_domain: &str,
    intent: &Intent,
    service: &Service,
    port: &ServicePortSpec,
    serving: &Serving<'_>,
) -> Backend {
    let mut identities: BTreeSet<SpiffeId> = BTreeSet::new();
    for workload in intent.workloads.iter().filter(|workload| service.selects(workload)) {
        identities.insert(SpiffeId::new(trust_domain, &workload.name.namespace, &workload.service_account));
    }
    let mut endpoints = BTreeSet::new();
    for (workload, instance) in serving.iter().filter(|(workload, _instance)| service.selects(workload)) {
        let target = port.target.resolve(workload).and_then(|port| instance.ports.get(&port));
        if let Some(target) = target {
            endpoints.insert(target.inbound);
            // It proves what it was started as, which the files may have changed since.
            identities.insert(identity(trust_domain, instance));
        }
    }
    Backend {
        name: service.port_name(port),
        protocol: port.protocol,
        identities: identities.into_iter().collect(),
        endpoints: endpoints.into_iter().collect(),
    }
}

/// The edge's rules, most specific first; among equals the files' order holds (Gateway API, HTTPRouteRule precedence).
fn edge_routes(routes: &[EdgeRoute]) -> RouteTable {
    let mut routes: Vec<&EdgeRoute> = routes.iter().collect();
    routes.sort_by_key(|route| match &route.path {
        PathMatch::Exact(path) => (Reverse(path.len()), 0),
        // `/api/` and `/api` are the same prefix.
        PathMatch::Prefix(path) => (Reverse(path.trim_end_matches('/').len()), 1),
    });
    let rule = |route: &EdgeRoute| RouteRule {
        path: route.path.clone(),
        rewrite: route.rewrite.clone(),
        backends: route
            .backends
            .iter()
            .map(|share| WeightedBackend { backend: share.service.clone(), weight: share.weight })
            .collect(),
    };
    RouteTable { rules: routes.into_iter().map(rule).collect() }
}

/// Every instance's sidecar needs its ports as long as it lives, also while it is being withdrawn or stopped.
fn inbound(plan: &Plan, intent: &Intent, inventory: &Inventory) -> BTreeMap<InstanceName, Inbound> {
    let workloads: BTreeMap<&WorkloadName, &Workload> = plan.workloads.iter().map(|w| (&w.name, w)).collect();
    let of_instance = |instance: &Instance| {
        let workload = workloads.get(&instance.workload);
        let port = |(port, addresses): (&u16, &samspill_model::inventory::PortAddresses)| {
            let protocol = workload.map_or_else(AppProtocol::default, |workload| protocol(intent, workload, *port));
            (*port, InboundPort { app: addresses.app, protocol })
        };
        (instance.name.clone(), Inbound { ports: instance.ports.iter().map(port).collect() })
    };
    inventory.instances.iter().map(of_instance).collect()
}

/// What a workload speaks on a container port: as the first Service that leads there says.
fn protocol(intent: &Intent, workload: &Workload, container_port: u16) -> AppProtocol {
    let services = intent.services.iter().filter(|service| service.selects(workload));
    services
        .flat_map(|service| &service.ports)
        .find(|port| port.target.resolve(workload) == Some(container_port))
        .map_or_else(AppProtocol::default, |port| port.protocol)
}

#[cfg(test)]
mod tests;
