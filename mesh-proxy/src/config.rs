//! What a proxy is told by the one who starts it.

use std::net::SocketAddr;
use std::path::PathBuf;

use samspill_model::identity::SpiffeId;
use samspill_model::name::{InstanceName, WorkloadName};

/// The settings of one proxy. All come from the runtime, or from the injector; none is for a person to choose.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sidecar or edge.
    pub role: Role,
    /// The instance that it stands beside; `edge` for the edge.
    pub instance: InstanceName,
    /// The instance's workload.
    pub workload: WorkloadName,
    /// The workload's ServiceAccount.
    pub service_account: String,
    /// The workload's version, for its spans.
    pub workload_version: String,
    /// The mesh's trust domain.
    pub trust_domain: String,
    /// Where the controller serves ADS, over mutual TLS.
    pub controller: SocketAddr,
    /// The controller's Unix socket for the first certificate.
    pub bootstrap: PathBuf,
    /// Where spans go, OTLP over gRPC.
    pub otlp_endpoint: String,
    /// How much of what begins here is traced, from 0 to 1: strangers' requests at the edge, and calls of an app that
    /// names no trace.
    pub sample_ratio: f64,
}

/// What a proxy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Beside an instance: mutual TLS in, by name out.
    Sidecar,
    /// Between strangers and the mesh.
    Edge,
}

impl Config {
    /// Who this proxy will prove to be.
    pub fn identity(&self) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.workload.namespace, &self.service_account)
    }

    /// Whether a trace that begins here is recorded.
    pub(crate) fn samples(&self) -> bool {
        rand::random::<f64>() < self.sample_ratio
    }
}
