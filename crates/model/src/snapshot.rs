//! What the proxies are told: routes, backends and endpoints, as of one generation.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::identity::SpiffeId;
use crate::intent::{AppProtocol, PathMatch, PathRewrite};
use crate::name::{InstanceName, ServicePort};
use crate::plan::Generation;

/// The name of the route table that the edge asks for.
pub const EDGE_ROUTES: &str = "edge";

/// All that any proxy may ask for. Each proxy is sent what it has asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The plan that this belongs to.
    pub generation: Generation,
    /// Per service port: where calls to it go. A port without an entry is an unknown service.
    pub services: BTreeMap<ServicePort, RouteTable>,
    /// Per service port: the endpoints behind it.
    pub backends: BTreeMap<ServicePort, Backend>,
    /// What the edge does with a stranger's request.
    pub edge: RouteTable,
    /// Per instance: what its sidecar does with calls to it.
    pub inbound: BTreeMap<InstanceName, Inbound>,
}

/// Chooses a backend by path. Rules are in order of precedence; the first that matches is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// Most specific first.
    pub rules: Vec<RouteRule>,
}

/// One rule of a [`RouteTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// Which paths.
    pub path: PathMatch,
    /// What becomes of the path.
    pub rewrite: Option<PathRewrite>,
    /// Where to, by weight; empty, or all zero, means nowhere (500, as the Gateway API asks).
    pub backends: Vec<WeightedBackend>,
}

/// A share of a rule's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedBackend {
    /// The key in [`Snapshot::backends`].
    pub backend: ServicePort,
    /// Its share is this over the sum of all weights of the rule.
    pub weight: u32,
}

/// A set of endpoints that a rule can send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: ServicePort,
    /// What the app speaks, and so what the proxies speak to each other for it.
    pub protocol: AppProtocol,
    /// A server that proves another identity is refused in the handshake. Ordered; empty refuses everyone.
    pub identities: Vec<SpiffeId>,
    /// The ready ones, ordered by address.
    pub endpoints: Vec<SocketAddr>,
}

/// What a sidecar does with calls to its own instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    /// By container port.
    pub ports: BTreeMap<u16, InboundPort>,
}

/// One container port, as its sidecar sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundPort {
    /// Where the app listens.
    pub app: SocketAddr,
    /// What it speaks there.
    pub protocol: AppProtocol,
}
