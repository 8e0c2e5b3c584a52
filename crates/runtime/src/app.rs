//! The app of an instance: its environment, its sockets and its probes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use samspill_model::intent::{ContainerPort, Workload};
use samspill_model::inventory::Phase;
use samspill_model::name::{InstanceName, WorkloadName};

use crate::backoff::Backoff;
use crate::context::Context;
use crate::keeper::Part;
use crate::probe::Prober;
use crate::process::{SpawnError, Spec};
use crate::sockets::Reservation;

/// The app of an instance, kept running.
#[derive(Debug)]
pub(crate) struct App {
    context: Arc<Context>,
    name: InstanceName,
    workload: Arc<Workload>,
    /// In the order of the workload's ports.
    ports: Vec<(ContainerPort, Reservation)>,
    environment: BTreeMap<String, String>,
}

impl App {
    pub(crate) fn new(
        context: Arc<Context>,
        name: InstanceName,
        workload: Arc<Workload>,
        ports: Vec<(ContainerPort, Reservation)>,
        outbound: SocketAddr,
    ) -> Self {
        let addresses = ports.iter().map(|(port, reservation)| (port.clone(), reservation.address()));
        let data_dir = context.state_dir.join("data").join(folder(&workload.name));
        let given = Given {
            name: &name,
            workload: &workload,
            ports: addresses.collect(),
            outbound,
            otlp_endpoint: context.otlp_endpoint(),
            data_dir: data_dir.display().to_string(),
        };
        let environment = given.environment();
        Self { context, name, workload, ports, environment }
    }

    fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        self.ports.iter().map(|(port, reservation)| (port.port, reservation.address())).collect()
    }
}

impl Part for App {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.workload.termination_grace_seconds))
    }

    fn backoff(&self) -> Backoff {
        Backoff::for_app()
    }

    fn spec(&mut self) -> Result<Spec, SpawnError> {
        if let Some(data_dir) = self.environment.get("SAMSPILL_DATA_DIR") {
            std::fs::create_dir_all(data_dir).map_err(SpawnError::Folder)?;
        }
        let mut descriptors = Vec::new();
        for (port, reservation) in &self.ports {
            let name = port.name.as_deref().unwrap_or("http").to_owned();
            descriptors.push((name, reservation.socket().map_err(SpawnError::Sockets)?));
        }
        let program = &self.workload.program;
        let args = program.args.iter().map(|arg| expand(arg, &self.environment).into());
        let env = self.environment.iter().map(|(name, value)| (name.clone(), OsString::from(value)));
        Ok(Spec {
            program: program.executable.clone(),
            args: args.collect(),
            env: env.collect(),
            working_dir: Some(program.working_dir.clone()),
            descriptors,
        })
    }

    fn started(&mut self, pid: u32, restarts: u32) {
        let is_ready = self.workload.readiness.is_none();
        self.context.board.instance(&self.name, |status| {
            status.instance.pid = Some(pid);
            status.instance.restarts = restarts;
            status.is_app_ready = is_ready;
            if status.instance.phase != Phase::Stopping {
                status.instance.phase = Phase::Running;
            }
        });
    }

    fn ended(&mut self) {
        self.context.board.instance(&self.name, |status| {
            status.instance.pid = None;
            status.is_app_ready = false;
            if status.instance.phase != Phase::Stopping {
                status.instance.phase = Phase::BackOff;
            }
        });
    }

    async fn watch(&mut self) -> String {
        let addresses = self.addresses();
        let set_ready = |is_ready| self.context.board.instance(&self.name, |status| status.is_app_ready = is_ready);
        let readiness = async {
            let Some(probe) = &self.workload.readiness else { return std::future::pending().await };
            let mut prober = Prober::readiness(probe, &addresses);
            loop {
                let change = prober.changed().await;
                tracing::info!(instance = %self.name, is_ready = change.is_healthy, answer = change.answer, "readiness");
                set_ready(change.is_healthy);
            }
        };
        let liveness = async {
            let Some(probe) = &self.workload.liveness else { return std::future::pending().await };
            let change = Prober::liveness(probe, &addresses).changed().await;
            format!("failed its liveness probe ({})", change.answer)
        };
        let reason = tokio::select! {
            reason = readiness => reason,
            reason = liveness => reason,
        };
        set_ready(false);
        reason
    }
}

/// The folder of a workload's data, which all its copies share.
fn folder(workload: &WorkloadName) -> String {
    let WorkloadName { namespace, name } = workload;
    if namespace == "default" { name.clone() } else { format!("{name}.{namespace}") }
}

/// What only the runtime knows of an app's surroundings.
struct Given<'a> {
    name: &'a InstanceName,
    workload: &'a Workload,
    ports: Vec<(ContainerPort, SocketAddr)>,
    outbound: SocketAddr,
    otlp_endpoint: String,
    data_dir: String,
}

impl Given<'_> {
    /// All variables of the app on top of our own environment.
    ///
    /// The manifest's win, except for the ports: a manifest that sets `PORT` to its `containerPort` for a cluster means
    /// "where I listen", and here that is another number.
    fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.surroundings();
        let ports = self.port_variables();
        environment.extend(ports.clone());
        let manifest = self.workload.program.env.iter();
        let expanded = manifest.map(|(name, value)| (name.clone(), expand(value, &environment))).collect::<Vec<_>>();
        environment.extend(expanded);
        environment.extend(ports);
        environment
    }

    fn surroundings(&self) -> BTreeMap<String, String> {
        let WorkloadName { namespace, name } = &self.workload.name;
        let outbound = format!("http://{}", self.outbound);
        let resource = format!(
            "service.name={name},service.namespace={namespace},service.instance.id={},service.version={}",
            self.name, self.workload.version
        );
        let variables = [
            ("SAMSPILL_OUTBOUND", outbound.clone()),
            ("http_proxy", outbound),
            ("no_proxy", "localhost,127.0.0.1,::1".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.otlp_endpoint.clone()),
            // The receiver speaks nothing else, and many SDKs prefer HTTP.
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
            ("OTEL_RESOURCE_ATTRIBUTES", resource),
            ("SAMSPILL_INSTANCE", self.name.to_string()),
            ("SAMSPILL_DATA_DIR", self.data_dir.clone()),
            // One machine is a developer's: a service may tell of itself what it tells nobody elsewhere.
            ("SAMSPILL_DEVELOPMENT", "1".to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn port_variables(&self) -> BTreeMap<String, String> {
        let first = self.ports.first().map(|(_, address)| ("PORT".to_owned(), address.port().to_string()));
        let named = self.ports.iter().filter_map(|(port, address)| {
            let name = port.name.as_deref()?.to_ascii_uppercase().replace('-', "_");
            Some((format!("PORT_{name}"), address.port().to_string()))
        });
        named.chain(first).collect()
    }
}

/// Puts in what the manifest's reader could not know, and makes one dollar of two. Any other `$(NAME)` stays, as in Kubernetes.
fn expand(template: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let value = name.and_then(|(name, after)| Some((known.get(name)?.as_str(), after)));
        let dollar = ("$", after.strip_prefix('$').unwrap_or(after));
        let (text, after) = value.unwrap_or(dollar);
        expanded.push_str(text);
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use samspill_model::intent::Program;

    use super::*;

    fn environment(env: &[(&str, &str)]) -> BTreeMap<String, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let port = |name: Option<&str>, port| ContainerPort { name: name.map(str::to_owned), port };
        let ports = vec![port(None, 8080), port(Some("grpc-api"), 50051)];
        let workload = Workload {
            name: WorkloadName::new("craterate", "parcel-tracking"),
            service_account: "tracking".to_owned(),
            version: "1.2".to_owned(),
            labels: BTreeMap::new(),
            replicas: 1,
            program: Program {
                executable: PathBuf::from("/bin/true"),
                args: Vec::new(),
                working_dir: PathBuf::from("/"),
                env,
                secret_env: Vec::new(),
            },
            ports: ports.clone(),
            readiness: None,
            liveness: None,
            termination_grace_seconds: 30,
        };
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Given {
            name: &InstanceName::new(&workload.name, 0),
            workload: &workload,
            ports: ports.into_iter().zip([address(40001), address(40002)]).collect(),
            outbound: address(40003),
            otlp_endpoint: "http://127.0.0.1:40004".to_owned(),
            data_dir: "/s/data/parcel-tracking.craterate".to_owned(),
        }
        .environment()
    }

    #[test]
    fn an_app_is_told_where_it_is() {
        let environment = environment(&[]);
        let lines = environment.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(
            lines,
            [
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:40004",
                "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                "OTEL_RESOURCE_ATTRIBUTES=service.name=parcel-tracking,service.namespace=craterate,\
                 service.instance.id=parcel-tracking.craterate-0,service.version=1.2",
                "PORT=40001",
                "PORT_GRPC_API=40002",
                "SAMSPILL_DATA_DIR=/s/data/parcel-tracking.craterate",
                "SAMSPILL_DEVELOPMENT=1",
                "SAMSPILL_INSTANCE=parcel-tracking.craterate-0",
                "SAMSPILL_OUTBOUND=http://127.0.0.1:40003",
                "http_proxy=http://127.0.0.1:40003",
                "no_proxy=localhost,127.0.0.1,::1",
            ]
        );
        let page = include_str!("../../../docs/reference/command.md");
        let undocumented = environment.keys().filter(|name| !page.contains(&format!("`{name}`")));
        assert_eq!(undocumented.collect::<Vec<_>>(), ["PORT_GRPC_API"], "which is `PORT_<NAME>`");
    }

    #[test]
    fn the_manifest_wins_except_for_ports() {
        let environment = environment(&[
            ("DATABASE_URL", "sqlite:$(SAMSPILL_DATA_DIR)/a.db"),
            ("LISTEN", "127.0.0.1:$(PORT)"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("PORT", "8080"),
            ("PASSWORD", "a$$b$$(PORT)$"),
            ("UNKNOWN", "$(NOBODY) $(PORT $PORT"),
        ]);
        let value = |name| environment.get(name).map(String::as_str);
        assert_eq!(value("DATABASE_URL"), Some("sqlite:/s/data/parcel-tracking.craterate/a.db"));
        assert_eq!(value("LISTEN"), Some("127.0.0.1:40001"));
        assert_eq!(value("OTEL_EXPORTER_OTLP_PROTOCOL"), Some("http/json"));
        assert_eq!(value("PORT"), Some("40001"));
        assert_eq!(value("PASSWORD"), Some("a$b$(PORT)$"));
        assert_eq!(value("UNKNOWN"), Some("$(NOBODY) $(PORT $PORT"));
    }
}
