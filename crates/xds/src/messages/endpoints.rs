//! `ClusterLoadAssignment`: the ready endpoints of a backend.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::address::Address as AnyAddress;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Locality, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints};
use envoy_types::pb::google::protobuf::UInt32Value;

use super::{Problem, Profile};
use crate::kind::Kind;

/// Addresses, ordered, each once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Endpoints(pub(crate) Vec<SocketAddr>);

impl Profile for Endpoints {
    type Message = ClusterLoadAssignment;
    const KIND: Kind = Kind::Endpoints;

    fn render(&self, name: &str) -> ClusterLoadAssignment {
        let mut addresses = self.0.clone();
        addresses.sort();
        addresses.dedup();
        let locality = LocalityLbEndpoints {
            // gRPC drops a locality that is not there, or has no weight.
            locality: Some(Locality::default()),
            load_balancing_weight: Some(UInt32Value { value: 1 }),
            lb_endpoints: addresses.into_iter().map(render_endpoint).collect(),
            ..LocalityLbEndpoints::default()
        };
        let endpoints = if locality.lb_endpoints.is_empty() { Vec::new() } else { vec![locality] };
        ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints, ..ClusterLoadAssignment::default() }
    }

    fn extract(message: &mut ClusterLoadAssignment) -> Result<Self, Problem> {
        let endpoints = message.endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
        let mut addresses = endpoints.map(extract_endpoint).collect::<Result<Vec<_>, _>>()?;
        addresses.sort();
        Ok(Self(addresses))
    }
}

fn render_endpoint(address: SocketAddr) -> LbEndpoint {
    let address = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
        ..SocketAddress::default()
    };
    let address = Address { address: Some(AnyAddress::SocketAddress(address)) };
    let endpoint = Endpoint { address: Some(address), ..Endpoint::default() };
    LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
}

fn extract_endpoint(endpoint: &LbEndpoint) -> Result<SocketAddr, Problem> {
    let outside = || Problem::Malformed(format!("an endpoint is no IP address with a port: {endpoint:?}"));
    let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return Err(outside()) };
    let address = endpoint.address.as_ref().and_then(|address| address.address.as_ref());
    let Some(AnyAddress::SocketAddress(address)) = address else { return Err(outside()) };
    let Some(PortSpecifier::PortValue(port)) = address.port_specifier else { return Err(outside()) };
    let port = u16::try_from(port).map_err(|_too_large| outside())?;
    let ip = address.address.parse().map_err(|_no_ip| outside())?;
    Ok(SocketAddr::new(ip, port))
}
