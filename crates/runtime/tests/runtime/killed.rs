//! A runtime that is killed leaves nothing, whatever its children have started.

use std::fs;

use samspill_model::intent::{Intent, Workload};
use samspill_model::inventory::Inventory;
use samspill_model::plan::InstanceState;
use samspill_testkit::wait_until;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::process::{Child, Command};

use crate::mesh::{IDLE, Line, fixture, is_alive, kill, listen, settings, workload};

/// An app with a helper: its number is the first line of its log.
const FORKS: &str = "sleep 1000 & echo $!; wait";

/// A runtime in a process of its own.
struct Up {
    folder: TempDir,
    process: Child,
    line: Line,
    lines: UnixListener,
}

impl Up {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = listen(folder.path());
        let mut command = Command::new(fixture());
        let process = command.arg("up").arg(folder.path().join("state")).kill_on_drop(true).spawn().unwrap();
        let line = Line::accept(&lines).await;
        Self { folder, process, line, lines }
    }

    async fn serve(&mut self, workloads: &[Workload]) -> Inventory {
        self.line.plan(1, workloads, InstanceState::Serve).await;
        let is_ready = |inventory: &Inventory| {
            let ready = inventory.instances.iter().filter(|instance| instance.ready).count();
            inventory.edge.is_some() && ready == workloads.len()
        };
        self.line.inventory(is_ready).await
    }

    /// The number in an app's log.
    async fn helper(&self, instance: &str) -> u32 {
        let log = self.folder.path().join("state/logs").join(format!("{instance}.log"));
        let number = || fs::read_to_string(&log).ok()?.lines().next()?.parse().ok();
        wait_until("the app has started its helper", async || number().is_some()).await;
        number().unwrap()
    }

    /// The process that says that it guards this folder.
    fn guard(&self) -> Option<u32> {
        let folder = self.folder.path().to_str().unwrap();
        let is_guard = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains("__guard") && line.contains(folder)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_guard)
    }

    /// The guard, once it is another one than `former`.
    async fn guard_after(&self, former: Option<u32>) -> u32 {
        let current = || self.guard().filter(|pid| Some(*pid) != former);
        wait_until("there is a guard", async || current().is_some()).await;
        current().unwrap()
    }

    async fn killed(&mut self) {
        kill(self.process.id().unwrap());
        self.process.wait().await.unwrap();
    }
}

fn processes(inventory: &Inventory) -> Vec<u32> {
    let instances = inventory.instances.iter();
    let pids = instances.flat_map(|instance| [instance.pid.unwrap(), instance.sidecar.as_ref().unwrap().pid]);
    pids.chain(inventory.edge.as_ref().map(|edge| edge.pid)).collect()
}

async fn gone(pids: &[u32]) {
    wait_until("every process is gone", async || !pids.iter().any(|&pid| is_alive(pid))).await;
}

#[tokio::test]
async fn a_killed_runtime_leaves_no_process() {
    let mut up = Up::start().await;
    let inventory = up.serve(&[workload("a", IDLE), workload("b", FORKS)]).await;
    let mut all = processes(&inventory);
    all.extend([up.helper("b-0").await, up.guard_after(None).await]);
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|&pid| is_alive(pid)));

    up.killed().await;
    assert_eq!(up.line.hear().await, None, "the controller ended too");
    gone(&all).await;

    // And the folder is free for the next.
    let Up { folder, lines, .. } = up;
    drop(lines);
    fs::remove_file(folder.path().join("controller-in-test.sock")).unwrap();
    let lines = listen(folder.path());
    let (runtime, _events) = samspill_runtime::Runtime::start(settings(folder.path()), Intent::default()).unwrap();
    let (shutdown, ended) = (runtime.shutdown(), samspill_net::task::spawn("runtime", runtime.run()));
    Line::accept(&lines).await;
    shutdown.drain();
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_guard_that_is_killed_has_a_successor_who_knows_as_much() {
    let mut up = Up::start().await;
    up.serve(&[workload("a", FORKS)]).await;
    let helper = up.helper("a-0").await;
    let first = up.guard_after(None).await;
    kill(first);
    let second = up.guard_after(Some(first)).await;
    up.killed().await;
    gone(&[helper, second]).await;
}

#[tokio::test]
async fn an_end_in_order_ends_the_guard_too() {
    let mut up = Up::start().await;
    let mut all = processes(&up.serve(&[workload("a", FORKS)]).await);
    all.extend([up.helper("a-0").await, up.guard_after(None).await]);
    crate::api::down(&up.folder.path().join("state")).await;
    assert!(up.process.wait().await.unwrap().success());
    assert!(!all.iter().any(|&pid| is_alive(pid)), "all have ended before the runtime");
}
