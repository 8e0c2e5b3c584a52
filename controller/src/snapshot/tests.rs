//! What the proxies are told in which situation.

use samspill_model::intent::{ContainerPort, TargetPort, WeightedService};
use samspill_model::name::ServicePort;
use samspill_model::plan::{Generation, PlannedInstance};

use super::*;
use crate::fixtures;

const DOMAIN: &str = "samspill.local";

fn situation() -> (Plan, Intent, Inventory) {
    let intent = fixtures::intent("invoicing", 2);
    let workload = WorkloadName::new("craterate", "invoicing");
    let name = |ordinal| InstanceName::new(&workload, ordinal);
    let planned = |ordinal| PlannedInstance { name: name(ordinal), workload: 0, state: InstanceState::Serve };
    let plan = Plan {
        generation: Generation(3),
        workloads: intent.workloads.clone(),
        instances: vec![planned(0), planned(1)],
        ..Plan::default()
    };
    let instances = vec![fixtures::instance(&name(1), &workload), fixtures::instance(&name(0), &workload)];
    (plan, intent, Inventory { generation: Generation(3), instances, edge: None })
}

fn invoicing() -> ServicePort {
    ServicePort::new("invoicing", "craterate", 80)
}

fn endpoints(plan: &Plan, intent: &Intent, inventory: &Inventory) -> Vec<u16> {
    let snapshot = derive(DOMAIN, plan, intent, inventory);
    snapshot.backends[&invoicing()].endpoints.iter().map(std::net::SocketAddr::port).collect()
}

#[test]
fn an_endpoint_is_planned_to_serve_and_ready() {
    let (mut plan, intent, mut inventory) = situation();
    assert_eq!(endpoints(&plan, &intent, &inventory), [30_000, 30_001]);

    inventory.instances[0].ready = false;
    assert_eq!(endpoints(&plan, &intent, &inventory), [30_000]);

    plan.instances[0].state = InstanceState::Withdraw { since: Generation(3) };
    assert_eq!(endpoints(&plan, &intent, &inventory), Vec::<u16>::new());
    let snapshot = derive(DOMAIN, &plan, &intent, &inventory);
    assert_eq!(snapshot.inbound.len(), 2, "a sidecar keeps its ports as long as it lives");
    assert_eq!(snapshot.services[&invoicing()].rules.len(), 1, "a service without endpoints is still a service");
}

#[test]
fn a_backend_names_whom_to_expect() {
    let (plan, intent, mut inventory) = situation();
    let expected = |inventory: &Inventory| {
        let snapshot = derive(DOMAIN, &plan, &intent, inventory);
        snapshot.backends[&invoicing()].identities.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(expected(&inventory), ["spiffe://samspill.local/ns/craterate/sa/invoicing"]);
    inventory.instances[0].service_account = "former".to_owned();
    assert_eq!(
        expected(&inventory),
        ["spiffe://samspill.local/ns/craterate/sa/former", "spiffe://samspill.local/ns/craterate/sa/invoicing"]
    );
}

#[test]
fn a_port_speaks_what_the_service_declares() {
    let (mut plan, mut intent, mut inventory) = situation();
    let addresses = inventory.instances[0].ports[&8080];
    inventory.instances[0].ports.insert(9000, addresses);
    for workload in intent.workloads.iter_mut().chain(&mut plan.workloads) {
        workload.ports.push(ContainerPort { name: Some("grpc".to_owned()), port: 9000 });
    }
    intent.services[0].ports.push(ServicePortSpec {
        name: Some("grpc".to_owned()),
        port: 50051,
        target: TargetPort::Number(9000),
        protocol: AppProtocol::Http2,
    });
    let snapshot = derive(DOMAIN, &plan, &intent, &inventory);
    let inbound = &snapshot.inbound[&inventory.instances[0].name];
    assert_eq!(inbound.ports[&8080].protocol, AppProtocol::Http1);
    assert_eq!(inbound.ports[&9000].protocol, AppProtocol::Http2);
    // The other instance was started without that port, and is no endpoint of it.
    let grpc = &snapshot.backends[&ServicePort::new("invoicing", "craterate", 50051)];
    assert_eq!((grpc.protocol, grpc.endpoints.len()), (AppProtocol::Http2, 1));
}

#[test]
fn the_most_specific_route_comes_first() {
    let (plan, mut intent, inventory) = situation();
    let route = |path| EdgeRoute {
        route: "craterate/edge".to_owned(),
        path,
        rewrite: None,
        backends: vec![WeightedService { service: invoicing(), weight: 1 }],
    };
    let prefix = |path: &str| PathMatch::Prefix(path.to_owned());
    let exact = |path: &str| PathMatch::Exact(path.to_owned());
    let sorted = [exact("/api/a"), prefix("/api/a/"), prefix("/api"), exact("/"), prefix("/")];
    intent.routes = sorted.iter().rev().cloned().map(route).collect();
    let snapshot = derive(DOMAIN, &plan, &intent, &inventory);
    assert_eq!(snapshot.edge.rules.iter().map(|rule| rule.path.clone()).collect::<Vec<_>>(), sorted);
}

#[test]
fn the_order_of_what_is_observed_says_nothing() {
    let (plan, intent, mut inventory) = situation();
    let before = derive(DOMAIN, &plan, &intent, &inventory);
    inventory.instances.reverse();
    assert_eq!(derive(DOMAIN, &plan, &intent, &inventory), before);
}
