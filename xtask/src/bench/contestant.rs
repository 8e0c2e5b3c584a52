//! A proxy that is measured: its processes, where its load goes, and what they have used.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::target;

/// Where the contestants run.
const CORE: &str = "0";

/// Where the load runs, and what answers it.
pub(crate) const LOAD_CORE: &str = "1";

/// One proxy, or a pair of them.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// What the load names in `Host`.
    pub(crate) host: &'static str,
    /// The processes whose CPU time and memory count.
    pub(crate) pids: Vec<u32>,
    /// What to end when the run is over.
    pub(crate) children: Vec<Child>,
}

impl Contestant {
    /// CPU time of all its threads so far, exact to the nanosecond (`/proc/PID/task/*/schedstat`, first field).
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut nanos = 0;
        for pid in &self.pids {
            for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
                let first = text.split_whitespace().next().context("an empty schedstat")?;
                nanos += first.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Memory that its processes do not share with others, in bytes (`RssAnon`).
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut kibibytes = 0;
        for pid in &self.pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
            kibibytes += line.trim_end_matches("kB").trim().parse::<u64>()?;
        }
        Ok(kibibytes * 1024)
    }

    /// Puts its processes on their core.
    pub(crate) fn pin(&self) -> Result<()> {
        self.pids.iter().try_for_each(|pid| pin(*pid, CORE))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A program of the profile `dist`.
pub(crate) fn built(name: &str) -> PathBuf {
    target().join("dist").join(name)
}

/// Keeps a process and its threads on one core.
pub(crate) fn pin(pid: u32, core: &str) -> Result<()> {
    let mut taskset = Command::new("taskset");
    taskset.args(["--all-tasks", "--cpu-list", "--pid", core, &pid.to_string()]).stdout(Stdio::null());
    let status = taskset.status().context("cannot run taskset (package util-linux)")?;
    anyhow::ensure!(status.success(), "taskset failed");
    Ok(())
}

/// Starts a program whose output goes to a file.
pub(crate) fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Child> {
    let log = std::fs::File::create(log)?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Waits until something accepts connections there.
pub(crate) fn accepts(address: SocketAddr) -> Result<()> {
    for _ in 0..1000 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("nothing listens on {address}")
}

/// A port that is free now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
