//! One process: started through the shim, in a group of its own, logged, and never left behind.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guard::Guard;
use crate::logs::Log;

/// The first descriptor that is passed (sd_listen_fds(3)).
const FIRST_DESCRIPTOR: i32 = 3;

/// How long the last words of a process that has ended are waited for. Its group is dead by then, so only a descendant that
/// left the group can hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Variables that must not leak from our own start into a child's.
const NOT_INHERITED: [&str; 5] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "HTTP_PROXY", "NO_PROXY"];

/// What to start.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// On top of our own environment.
    pub(crate) env: Vec<(String, OsString)>,
    /// Ours, if none.
    pub(crate) working_dir: Option<PathBuf>,
    /// Descriptors by name, passed from number 3 on.
    pub(crate) descriptors: Vec<(String, OwnedFd)>,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("cannot make the folder of its data")]
    Folder(#[source] io::Error),
    #[error("cannot prepare its sockets")]
    Sockets(#[source] io::Error),
    #[error("cannot pass its descriptors")]
    Descriptors(#[from] command_fds::FdMappingCollision),
    #[error("cannot start it")]
    Spawn(#[source] io::Error),
}

/// A running process. Dropped, it is killed with its whole group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    /// Readable once the process has ended, and before it is reaped.
    pidfd: AsyncFd<OwnedFd>,
    started: Instant,
    output: Vec<JoinHandle<()>>,
    is_reaped: bool,
    guard: Arc<Guard>,
}

impl Process {
    /// Starts a process. Must be called on the main thread: the child dies with the thread that started it.
    pub(crate) fn spawn(spec: Spec, shim: &Path, guard: &Arc<Guard>, log: &Arc<Log>) -> Result<Self, SpawnError> {
        let mut command = Command::new(shim);
        command.arg("__exec").arg("--parent").arg(std::process::id().to_string()).arg("--");
        command.arg(&spec.program).args(&spec.args);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command.envs(spec.env);
        if let Some(working_dir) = &spec.working_dir {
            command.current_dir(working_dir);
        }
        pass_descriptors(&mut command, spec.descriptors)?;
        // The shim's input is the line to the guard; the program's is nothing.
        command
            .stdin(guard.line().map_err(SpawnError::Spawn)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);

        let mut child = command.spawn().map_err(SpawnError::Spawn)?;
        let mut output = Vec::new();
        output.extend(child.stdout.take().map(|stdout| log.capture(stdout)));
        output.extend(child.stderr.take().map(|stderr| log.capture(stderr)));
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a child not yet waited for");
        guard.started(pid);
        let watched = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from);
        let watched = watched.and_then(watch);
        match watched {
            Ok(pidfd) => Ok(Self {
                child,
                pid,
                pidfd,
                started: Instant::now(),
                output,
                is_reaped: false,
                guard: Arc::clone(guard),
            }),
            Err(error) => {
                kill_group(pid, Signal::KILL);
                guard.ended(pid);
                Err(SpawnError::Spawn(error))
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().cast_unsigned()
    }

    pub(crate) fn ran(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the process to end, kills what is left of its group and reaps it.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.pidfd.readable().await?.retain_ready();
        // Before it is reaped: until then nobody else can be given this number.
        if !self.is_reaped {
            kill_group(self.pid, Signal::KILL);
            self.guard.ended(self.pid);
        }
        let status = self.child.wait().await;
        self.is_reaped = true;
        let output = futures_util::future::join_all(self.output.iter_mut());
        let _ = tokio::time::timeout(LAST_WORDS, output).await;
        self.output.clear();
        status
    }

    /// Asks the process to end, and kills it when it has not within `grace` or when `at_once` is cancelled.
    pub(crate) async fn stop(&mut self, grace: Duration, at_once: &CancellationToken) -> io::Result<ExitStatus> {
        kill_group(self.pid, Signal::TERM);
        let pid = self.pid;
        tokio::select! {
            status = self.ended() => return status,
            () = at_once.cancelled() => {}
            () = tokio::time::sleep(grace) => tracing::warn!(pid = pid.as_raw_pid(), ?grace, "killed: it did not end in time"),
        }
        kill_group(self.pid, Signal::KILL);
        self.ended().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill_group(self.pid, Signal::KILL);
            self.guard.ended(self.pid);
        }
    }
}

fn pass_descriptors(command: &mut Command, descriptors: Vec<(String, OwnedFd)>) -> Result<(), SpawnError> {
    if descriptors.is_empty() {
        return Ok(());
    }
    let names = descriptors.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(":");
    command.env("LISTEN_FDS", descriptors.len().to_string()).env("LISTEN_FDNAMES", names);
    let numbered = descriptors.into_iter().zip(FIRST_DESCRIPTOR..);
    command.fd_mappings(numbered.map(|((_, parent_fd), child_fd)| FdMapping { parent_fd, child_fd }).collect())?;
    Ok(())
}

#[expect(deprecated, reason = "its successor is unsafe, for types that lie about their descriptor; an OwnedFd cannot")]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

fn kill_group(group: Pid, signal: Signal) {
    // A group without a process is what we want.
    let _ = kill_process_group(group, signal);
}
