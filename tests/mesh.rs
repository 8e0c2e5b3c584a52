//! One running mesh: starts it, asks it, breaks it, and leaves nothing behind.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use samspill_testkit::{pause, wait_until};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::web::{self, Reply};

/// Longer than a debug build needs on two busy cores.
const START: Duration = Duration::from_secs(120);

/// `samspill up`, in a state folder of its own.
pub(crate) struct Mesh {
    up: Child,
    state: TempDir,
    /// Where strangers come in.
    pub(crate) edge: SocketAddr,
}

/// `GET /v1/status` of the runtime.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) ready: bool,
    pub(crate) controller_pid: Option<u32>,
    pub(crate) edge: Option<Edge>,
    pub(crate) instances: Vec<Instance>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) pid: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Instance {
    pub(crate) service: String,
    pub(crate) pid: Option<u32>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) ready: bool,
    pub(crate) restarts: u32,
    pub(crate) sidecar_pid: Option<u32>,
    pub(crate) sidecar_restarts: u32,
}

impl Mesh {
    /// craterate, ready.
    pub(crate) async fn craterate() -> Self {
        Self::up(&root().join("examples/craterate"), &[]).await
    }

    /// `samspill up DIR` with further flags, ready.
    pub(crate) async fn up(dir: &Path, flags: &[&str]) -> Self {
        let state = tempfile::Builder::new().prefix("samspill-").tempdir().unwrap();
        let log = std::fs::File::create(state.path().join("up.txt")).unwrap();
        let up = Command::new(samspill())
            .arg("up")
            .arg(dir)
            .args(["--http-port", "0", "--state-dir"])
            .arg(state.path().join("state"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut mesh = Self { up, state, edge: ([0, 0, 0, 0], 0).into() };
        let deadline = tokio::time::Instant::now() + START;
        loop {
            if let Some(status) = mesh.try_status().await
                && status.ready
            {
                mesh.edge = status.edge.expect("an edge").address;
                return mesh;
            }
            let has_ended = mesh.up.try_wait().unwrap();
            let is_late = tokio::time::Instant::now() > deadline;
            assert!(has_ended.is_none() && !is_late, "`up` is not ready ({has_ended:?}):\n{}", mesh.screen());
            pause().await;
        }
    }

    /// What `up` has printed.
    pub(crate) fn screen(&self) -> String {
        std::fs::read_to_string(self.state.path().join("up.txt")).unwrap_or_default()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state.path().join("state")
    }

    /// Runs another verb of the command on this mesh.
    pub(crate) fn samspill(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(samspill());
        command.args(arguments).arg("--state-dir").arg(self.state_dir()).env("NO_COLOR", "1");
        command.output().unwrap()
    }

    /// What another verb prints; it must succeed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.samspill(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "samspill {arguments:?}: {}\n{stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.said(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    pub(crate) async fn status(&self) -> Status {
        self.try_status().await.expect("the runtime answers")
    }

    async fn try_status(&self) -> Option<Status> {
        let socket = UnixStream::connect(self.state_dir().join("runtime.sock")).await.ok()?;
        let reply = web::over(socket, http::Request::get("/v1/status").body(String::new()).unwrap()).await.ok()?;
        serde_json::from_str(&reply.body).ok()
    }

    /// The instances of a service, in order.
    pub(crate) async fn instances(&self, service: &str) -> Vec<Instance> {
        self.status().await.instances.into_iter().filter(|instance| instance.service == service).collect()
    }

    /// Waits until everything that the files want is ready.
    pub(crate) async fn ready(&self) {
        wait_until("everything is ready", async || self.try_status().await.is_some_and(|status| status.ready)).await;
    }

    /// A request through the edge.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        web::get(self.edge, path).await.unwrap()
    }

    /// A request through the edge, with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Reply {
        web::post(self.edge, path, body).await.unwrap()
    }

    /// `kill -9` of one process of the mesh; returns when it is gone.
    pub(crate) async fn kill(&self, pid: u32) {
        signal(pid, rustix::process::Signal::KILL);
        wait_until("the killed process is gone", async || !is_alive(pid)).await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.up.id()
    }

    /// Every process that belongs to this mesh, `up` included.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let state = self.state_dir();
        let mut found = vec![self.pid()];
        // Children of children are counted too: each has the state folder in its arguments or its environment.
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let of = |file| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let text = [of("cmdline"), of("environ")].concat();
            if String::from_utf8_lossy(&text).contains(&*state.to_string_lossy()) && is_alive(pid) {
                found.push(pid);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Ends `up` as Ctrl-C does, and returns its exit status and what it printed.
    pub(crate) async fn interrupt(mut self) -> (Option<i32>, String) {
        signal(self.pid(), rustix::process::Signal::INT);
        wait_until("`up` has ended", async || self.up.try_wait().unwrap().is_some()).await;
        (self.up.wait().unwrap().code(), self.screen())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // The children die with their parent.
        drop(self.up.kill());
        drop(self.up.wait());
        if std::thread::panicking() {
            eprintln!("--- what `up` printed ---\n{}", self.screen());
        }
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    // It may have ended by itself.
    rustix::process::kill_process(pid, signal).ok();
}

/// Whether any thread of a process is still there and no zombie: the first one may be gone while another still holds the
/// sockets.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().any(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The command, built beside this test.
pub(crate) fn samspill() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("samspill");
    assert!(path.exists(), "{} is not built\n\nhint: cargo build --workspace --bins", path.display());
    path
}
