//! v1 Service.

use std::collections::BTreeMap;

use samspill_model::intent::AppProtocol;

use crate::read::{Fields, Item, Located, PortRef};

use super::refuse_repeated;

#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) selector: BTreeMap<String, Located<String>>,
    pub(crate) ports: Vec<Port>,
}

#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    /// `None` is the same number.
    pub(crate) target: Option<PortRef>,
    pub(crate) protocol: AppProtocol,
    pub(crate) at: crate::mistake::Place,
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Service {
    fields.cluster_only(&["status"]);
    let Some(spec) = fields.required("spec") else { return Service::default() };
    let mut fields = spec.fields();
    let selector = fields.required("selector").map(|item| {
        let labels = item.labels();
        if labels.is_empty() {
            item.report(item.mistake("the selector is empty").hint("name a label of the Deployment's template"));
        }
        labels
    });
    let ports = fields.required("ports").map(|item| {
        let items = item.items();
        if items.is_empty() {
            item.report(item.mistake("the list is empty: one port is needed"));
        }
        let ports: Vec<Port> = items.iter().filter_map(|port_item| port(port_item, items.len() > 1)).collect();
        let numbers: Vec<_> =
            ports.iter().map(|port| Located { value: port.port.to_string(), at: port.at.clone() }).collect();
        refuse_repeated(&numbers.iter().collect::<Vec<_>>(), "port", item.document().findings);
        ports
    });
    fields.optional("type").map(|item| item.one_of(&["ClusterIP", "NodePort", "LoadBalancer"]));
    fields.optional("sessionAffinity").map(|item| item.one_of(&["None"]));
    fields.cluster_only(&[
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerSourceRanges",
        "trafficDistribution",
    ]);
    fields.unsupported("externalName", "call the name itself: only services of the mesh are reached through it");
    fields.unsupported("externalIPs", "from outside, services are reached through the edge by an HTTPRoute");
    fields.unsupported("publishNotReadyAddresses", "only ready copies receive traffic");
    fields.finish();
    Service { selector: selector.unwrap_or_default(), ports: ports.unwrap_or_default() }
}

fn port(item: &Item<'_>, several: bool) -> Option<Port> {
    let mut fields = item.fields();
    let number = fields.required("port");
    let at = number.as_ref().map(Item::place);
    let port = number.and_then(|item| item.port());
    let name = if several { fields.required("name") } else { fields.optional("name") };
    let name = name.and_then(|item| item.label()).map(|name| name.value);
    let target = fields.optional("targetPort").and_then(|item| item.port_or_name());
    fields.optional("protocol").map(|item| item.one_of(&["TCP"]));
    let protocol = fields.optional("appProtocol").and_then(|item| item.one_of(&["http", "kubernetes.io/h2c", "grpc"]));
    fields.cluster_only(&["nodePort"]);
    fields.finish();
    let protocol = match protocol.as_deref() {
        Some("kubernetes.io/h2c" | "grpc") => AppProtocol::Http2,
        _ => AppProtocol::Http1,
    };
    Some(Port { name, port: port?, target, protocol, at: at? })
}
