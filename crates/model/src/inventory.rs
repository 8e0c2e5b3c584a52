//! What is observed: the instances that the runtime runs, and how they are.
//!
//! An inventory is always whole. The newest one says everything, so that one may be lost, and a controller that returns
//! needs no history.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::name::{InstanceName, WorkloadName};
use crate::plan::Generation;

/// Everything that a runtime runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The newest plan that the runtime has been given; older ones it refuses.
    pub generation: Generation,
    /// One per copy, including those that are being stopped; ordered by name.
    pub instances: Vec<Instance>,
    /// The edge proxy, once it has been started.
    pub edge: Option<ProxyProcess>,
}

/// One copy of a workload, with its sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: InstanceName,
    /// Whose copy it is.
    pub workload: WorkloadName,
    /// The namespace's account that it runs as.
    pub service_account: String,
    /// The workload's version that this copy was started from.
    pub version: String,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it may receive traffic: the app has passed its readiness probe and the sidecar is ready.
    pub ready: bool,
    /// How often the app has been restarted.
    pub restarts: u32,
    /// The app's process, while there is one.
    pub pid: Option<u32>,
    /// The sidecar's process, while there is one.
    pub sidecar: Option<ProxyProcess>,
    /// Where each container port is reached.
    pub ports: BTreeMap<u16, PortAddresses>,
}

/// How far an instance has come in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its processes are being started.
    Starting,
    /// The app runs.
    Running,
    /// The app ended by itself and waits for its next start.
    BackOff,
    /// It finishes what it has and is not started again.
    Stopping,
}

/// A proxy's process and the proof that it may ask for an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyProcess {
    /// Its process id.
    pub pid: u32,
    /// SHA-256, in lower-case hex, of the one-use token on the descriptor that it has inherited: of its text, as written there.
    pub token_sha256: String,
}

/// The two ends of a container port on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortAddresses {
    /// Where the app listens, on loopback, in the clear.
    pub app: SocketAddr,
    /// Where its sidecar listens for the mesh, mutual TLS only.
    pub inbound: SocketAddr,
}
