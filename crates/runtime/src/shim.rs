//! What every child runs first: `samspill __exec --parent PID -- PROGRAM ARGS`.
//!
//! A process can ask for its own death only after it has been started, so a small program does that and then becomes the real
//! one. Between fork and request the parent may have died already; hence the look at who the parent is.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The kernel refused the request to die with the parent.
    #[error("cannot ask to be killed with the parent process")]
    DeathSignal(#[source] io::Error),
    /// The parent ended before the request.
    #[error("the parent process {0} has ended")]
    Orphaned(u32),
    /// The program cannot be executed.
    #[error("cannot execute `{}`", .program.display())]
    Execute {
        /// The program.
        program: OsString,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Becomes `program`, which is killed when the thread of `parent` that started this process ends. Returns only if that fails.
///
/// Descriptors without close-on-exec stay open. Where `LISTEN_FDS` is set, `LISTEN_PID` names this process, as
/// sd_listen_fds(3) asks, which nobody could know before it was started.
///
/// # Errors
/// Each ends the process: print it on stderr, which is the program's log, and exit 127, as a shell does.
pub fn exec(parent: u32, program: &OsStr, args: &[OsString]) -> Result<Infallible, ShimError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| ShimError::DeathSignal(error.into()))?;
    if getppid().map(Pid::as_raw_pid) != i32::try_from(parent).ok() {
        return Err(ShimError::Orphaned(parent));
    }
    let mut command = Command::new(program);
    command.args(args);
    if std::env::var_os("LISTEN_FDS").is_some() {
        command.env("LISTEN_PID", getpid().as_raw_pid().to_string());
    }
    Err(ShimError::Execute { program: program.to_owned(), source: command.exec() })
}
