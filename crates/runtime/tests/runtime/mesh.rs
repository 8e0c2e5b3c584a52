//! A runtime in this process, and the controller's end of its line in the hands of the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use samspill_model::intent::{ContainerPort, Intent, Probe, ProbeCheck, Program, Workload};
use samspill_model::inventory::Inventory;
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::name::{InstanceName, WorkloadName};
use samspill_model::plan::{Generation, InstanceState, Plan, PlannedInstance};
use samspill_runtime::status::InstanceStatus;
use samspill_runtime::{Event, GaveUp, Runtime, Settings, Shutdown, Status};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A program that does nothing until it is killed.
pub(crate) const IDLE: &str = "exec sleep 1000";

pub(crate) struct Mesh {
    pub(crate) folder: TempDir,
    pub(crate) shutdown: Shutdown,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) line: Line,
    pub(crate) ended: JoinHandle<Result<(), GaveUp>>,
    status: watch::Receiver<Status>,
    lines: UnixListener,
}

impl Mesh {
    /// Starts a runtime whose files say `workloads`, and takes the controller's line.
    pub(crate) async fn start(workloads: &[Workload]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = listen(folder.path());
        let intent = Intent { workloads: workloads.to_vec(), ..Intent::default() };
        let (runtime, events) = Runtime::start(settings(folder.path()), intent).unwrap();
        let (status, shutdown) = (runtime.status(), runtime.shutdown());
        let ended = samspill_net::task::spawn("runtime", runtime.run());
        let line = Line::accept(&lines).await;
        Self { folder, shutdown, events, line, ended, status, lines }
    }

    /// Starts a runtime that is told to serve one copy of each of these.
    pub(crate) async fn serving(workloads: &[Workload]) -> Self {
        let mut mesh = Self::start(workloads).await;
        mesh.line.say(&ToRuntime::Applied(Vec::new())).await;
        mesh.line.plan(1, workloads, InstanceState::Serve).await;
        mesh
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The line to a controller that has been started again.
    pub(crate) async fn next_line(&self) -> Line {
        Line::accept(&self.lines).await
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&mut self, is_wanted: impl FnMut(&Status) -> bool) -> Status {
        self.status.wait_for(is_wanted).await.unwrap().clone()
    }

    /// Waits until an instance is as wanted.
    pub(crate) async fn instance(&mut self, name: &str, is_wanted: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
        let name = InstanceName(name.to_owned());
        let status = self.until(|status| status.instances.get(&name).is_some_and(&is_wanted)).await;
        status.instances[&name].clone()
    }

    pub(crate) async fn ready(&mut self, name: &str) -> InstanceStatus {
        self.instance(name, |status| status.instance.ready).await
    }

    /// Waits for an event that a function likes, and returns what it made of it.
    pub(crate) async fn event<T>(&mut self, mut like: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(liked) = like(self.events.recv().await.expect("the runtime runs")) {
                return liked;
            }
        }
    }

    /// What the fixtures have written down.
    pub(crate) fn journal(&self) -> Vec<String> {
        let journal = std::fs::read_to_string(self.state_dir().join("journal")).unwrap_or_default();
        journal.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        state_dir: folder.join("state"),
        http_port: 0,
        otlp_endpoint: None,
        trust_domain: "test.local".to_owned(),
        leaf_ttl: Duration::from_secs(3600),
        executable: fixture(),
    }
}

pub(crate) fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_samspill-runtime-fixture"))
}

pub(crate) fn listen(folder: &Path) -> UnixListener {
    UnixListener::bind(folder.join("controller-in-test.sock")).unwrap()
}

/// The controller's end of a line.
pub(crate) struct Line {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Line {
    pub(crate) async fn accept(listener: &UnixListener) -> Self {
        let (stream, _): (UnixStream, _) = listener.accept().await.unwrap();
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    /// What the runtime says next; none once the controller's process has ended.
    pub(crate) async fn hear(&mut self) -> Option<ToController> {
        let line = self.lines.next_line().await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// The next inventory that is as wanted.
    pub(crate) async fn inventory(&mut self, is_wanted: impl Fn(&Inventory) -> bool) -> Inventory {
        loop {
            match self.hear().await.expect("the controller runs") {
                ToController::Inventory(inventory) if is_wanted(&inventory) => return inventory,
                _ => {}
            }
        }
    }

    pub(crate) async fn say(&mut self, message: &ToRuntime) {
        self.say_raw(&(serde_json::to_string(message).unwrap() + "\n")).await;
    }

    pub(crate) async fn say_raw(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
    }

    /// Says a plan with an edge and one copy of each workload.
    pub(crate) async fn plan(&mut self, generation: u64, workloads: &[Workload], state: InstanceState) {
        let instance = |(position, workload): (usize, &Workload)| PlannedInstance {
            name: InstanceName::new(&workload.name, 0),
            workload: position,
            state,
        };
        let plan = Plan {
            generation: Generation(generation),
            parent: Generation::default(),
            edge: true,
            workloads: workloads.to_vec(),
            instances: workloads.iter().enumerate().map(instance).collect(),
        };
        self.say(&ToRuntime::Plan(plan)).await;
    }
}

/// A workload of one copy with one port, whose program is a shell script.
pub(crate) fn workload(name: &str, script: &str) -> Workload {
    program(name, "/bin/sh", &["-c", script])
}

/// The same in Python.
pub(crate) fn python(name: &str, script: &str) -> Workload {
    program(name, "/usr/bin/env", &["python3", "-c", script])
}

fn program(name: &str, executable: &str, args: &[&str]) -> Workload {
    Workload {
        name: WorkloadName::new("default", name),
        service_account: name.to_owned(),
        version: "1".to_owned(),
        labels: BTreeMap::new(),
        replicas: 1,
        program: Program {
            executable: PathBuf::from(executable),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            working_dir: PathBuf::from("/"),
            env: BTreeMap::new(),
            secret_env: Vec::new(),
        },
        ports: vec![ContainerPort { name: None, port: 8080 }],
        readiness: None,
        liveness: None,
        termination_grace_seconds: 30,
    }
}

pub(crate) fn probe(check: ProbeCheck) -> Probe {
    Probe {
        check,
        initial_delay_seconds: 0,
        period_seconds: 1,
        timeout_seconds: 5,
        success_threshold: 1,
        failure_threshold: 1,
    }
}

pub(crate) fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// Whether a process is there and more than a remainder that nobody has collected.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
