//! What the files say: the wanted state, resolved and checked, without a trace of its syntax.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{ServicePort, WorkloadName};

/// Everything that a folder of manifests and its `samspill.local.yaml` want.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// One per Deployment, ordered by name.
    pub workloads: Vec<Workload>,
    /// One per Service, ordered by namespace and name.
    pub services: Vec<Service>,
    /// One per rule of an HTTPRoute, most specific match first.
    pub routes: Vec<EdgeRoute>,
}

/// A Deployment, resolved: variables expanded, secrets filled in, image mapped to a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Namespace and name of the Deployment.
    pub name: WorkloadName,
    /// The ServiceAccount, from which the identity follows; `default` where the manifest names none.
    pub service_account: String,
    /// The label `app.kubernetes.io/version`, else the image's tag, else `latest`.
    pub version: String,
    /// The pod template's labels, which Services select by.
    pub labels: BTreeMap<String, String>,
    /// How many copies shall run.
    pub replicas: u32,
    /// What each copy executes.
    pub program: Program,
    /// The container ports, in the manifest's order.
    pub ports: Vec<ContainerPort>,
    /// When a copy may receive traffic; without it, as soon as it has started.
    pub readiness: Option<Probe>,
    /// When a copy must be restarted.
    pub liveness: Option<Probe>,
    /// Seconds between SIGTERM and SIGKILL.
    pub termination_grace_seconds: u32,
}

/// A program and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The executable, absolute.
    pub executable: PathBuf,
    /// Its arguments, without the executable itself.
    pub args: Vec<String>,
    /// Where it starts, absolute.
    pub working_dir: PathBuf,
    /// Variables on top of those that every process gets. `$(NAME)` of a variable that only the runtime knows
    /// (`SAMSPILL_DATA_DIR`, `PORT`, …) is still to be expanded.
    pub env: BTreeMap<String, String>,
    /// The names in `env` whose values came from a Secret: never shown.
    pub secret_env: Vec<String>,
}

/// A port that a container listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPort {
    /// The name that Services and probes may refer to it by.
    pub name: Option<String>,
    /// The port in the manifest. Locally the process gets another one, in `PORT` and `PORT_<NAME>`.
    pub port: u16,
}

/// A question that the runtime asks a process at intervals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub check: ProbeCheck,
    /// Seconds from the start of the process to the first question.
    pub initial_delay_seconds: u32,
    /// Seconds from one question to the next.
    pub period_seconds: u32,
    /// Seconds until no answer counts as a failure.
    pub timeout_seconds: u32,
    /// How many answers in a row turn failure into success.
    pub success_threshold: u32,
    /// How many failures in a row turn success into failure.
    pub failure_threshold: u32,
}

/// What a probe does; ports are container ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeCheck {
    /// GET, where a status from 200 to 399 is a success.
    Http {
        /// Path and query.
        path: String,
        /// The container port.
        port: u16,
        /// Further request headers, in order.
        headers: Vec<(String, String)>,
    },
    /// A connection that is accepted is a success.
    Tcp {
        /// The container port.
        port: u16,
    },
}

/// A Service: a name for the ready copies of the workloads that it selects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// Labels that a workload of the same namespace must all have.
    pub selector: BTreeMap<String, String>,
    /// The ports that callers may name.
    pub ports: Vec<ServicePortSpec>,
}

impl Service {
    /// Whether this Service stands for the copies of `workload`.
    pub fn selects(&self, workload: &Workload) -> bool {
        self.namespace == workload.name.namespace
            && !self.selector.is_empty()
            && self.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
    }

    /// The full name of one of its ports.
    pub fn port_name(&self, port: &ServicePortSpec) -> ServicePort {
        ServicePort::new(&self.name, &self.namespace, port.port)
    }
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePortSpec {
    /// The port's name; needed where a Service has several.
    pub name: Option<String>,
    /// The port that callers name.
    pub port: u16,
    /// Which container port it leads to.
    pub target: TargetPort,
    /// What the workload speaks there.
    pub protocol: AppProtocol,
}

/// A container port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetPort {
    /// `containerPort`.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

impl TargetPort {
    /// The container port of `workload` that is meant, if it has one.
    pub fn resolve(&self, workload: &Workload) -> Option<u16> {
        let meant = |port: &&ContainerPort| match self {
            Self::Number(number) => port.port == *number,
            Self::Name(name) => port.name.as_deref() == Some(name),
        };
        workload.ports.iter().find(meant).map(|port| port.port)
    }
}

/// What an application speaks on a port: declared by `appProtocol`, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP/1.1; also what `appProtocol: http`, or none, means.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge: `kubernetes.io/h2c` and `grpc`.
    Http2,
}

/// One rule of an HTTPRoute whose parent is the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeRoute {
    /// `namespace/name` of the HTTPRoute.
    pub route: String,
    /// Which paths.
    pub path: PathMatch,
    /// What becomes of the path.
    pub rewrite: Option<PathRewrite>,
    /// Where to, by weight; all zero means nowhere.
    pub backends: Vec<WeightedService>,
}

/// Which paths a rule is for. A longer match wins, and an exact one before a prefix of its length.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The path or a parent of it, by elements: `/api` is for `/api` and `/api/x`, not for `/apix`.
    Prefix(String),
}

/// What a rule does to the path that it matched (HTTPRoute `URLRewrite`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PathRewrite {
    /// Puts this in place of the matched prefix.
    ReplacePrefix(String),
    /// Puts this in place of the whole path.
    ReplaceFull(String),
}

/// A share of a rule's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedService {
    /// The port of the Service.
    pub service: ServicePort,
    /// Its share is this over the sum of all weights of the rule.
    pub weight: u32,
}
