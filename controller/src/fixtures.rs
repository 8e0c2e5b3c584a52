//! Small things that the tests of several modules are made of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use samspill_model::intent::{
    AppProtocol, ContainerPort, Intent, Program, Service, ServicePortSpec, TargetPort, Workload,
};
use samspill_model::inventory::{Instance, Phase, PortAddresses, ProxyProcess};
use samspill_model::name::{InstanceName, WorkloadName};

/// A workload of the namespace `craterate` with one port, 8080, and a ServiceAccount of its own name.
pub(crate) fn workload(name: &str, replicas: u32) -> Workload {
    Workload {
        name: WorkloadName::new("craterate", name),
        service_account: name.to_owned(),
        version: "1".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
        replicas,
        program: Program {
            executable: PathBuf::from("/bin/true"),
            args: Vec::new(),
            working_dir: PathBuf::from("/"),
            env: BTreeMap::new(),
            secret_env: Vec::new(),
        },
        ports: vec![ContainerPort { name: Some("http".to_owned()), port: 8080 }],
        readiness: None,
        liveness: None,
        termination_grace_seconds: 30,
    }
}

/// The Service of a [`workload`]: port 80, to its 8080.
pub(crate) fn service(name: &str, protocol: AppProtocol) -> Service {
    Service {
        namespace: "craterate".to_owned(),
        name: name.to_owned(),
        selector: BTreeMap::from([("app".to_owned(), name.to_owned())]),
        ports: vec![ServicePortSpec { name: None, port: 80, target: TargetPort::Name("http".to_owned()), protocol }],
    }
}

/// One workload with its Service.
pub(crate) fn intent(name: &str, replicas: u32) -> Intent {
    Intent {
        workloads: vec![workload(name, replicas)],
        services: vec![service(name, AppProtocol::Http1)],
        routes: Vec::new(),
    }
}

/// A ready instance with a live sidecar. Its addresses follow from its ordinal.
pub(crate) fn instance(name: &InstanceName, workload: &WorkloadName) -> Instance {
    let ordinal: u16 = name.as_str().rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse().ok()).unwrap_or(0);
    let ports = PortAddresses {
        app: SocketAddr::from(([127, 0, 0, 1], 20_000 + ordinal)),
        inbound: SocketAddr::from(([127, 0, 0, 1], 30_000 + ordinal)),
    };
    Instance {
        name: name.clone(),
        workload: workload.clone(),
        service_account: workload.name.clone(),
        version: "1".to_owned(),
        phase: Phase::Running,
        ready: true,
        restarts: 0,
        pid: Some(1000 + u32::from(ordinal)),
        sidecar: Some(ProxyProcess { pid: 2000 + u32::from(ordinal), token_sha256: String::new() }),
        ports: BTreeMap::from([(8080, ports)]),
    }
}
