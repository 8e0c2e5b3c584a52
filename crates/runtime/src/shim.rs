//! What every child runs first: `samspill __exec --parent PID -- PROGRAM ARGS`.
//!
//! A process can ask for its own death only after it has been started, so a small program does that and then becomes the real
//! one. Between fork and request the parent may have died already; hence the look at who the parent is.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::guard::introduction;
use crate::ticks::start_ticks;

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
/// Standard input is the line to the [`guard`](crate::guard); the program gets an empty one. Descriptors without close-on-exec stay
/// open. Where `LISTEN_FDS` is set, `LISTEN_PID` names this process, as
/// sd_listen_fds(3) asks, which nobody could know before it was started.
///
/// # Errors
/// Each ends the process: print it on stderr, which is the program's log, and exit 127, as a shell does.
pub fn exec(parent: u32, program: &OsStr, args: &[OsString]) -> Result<Infallible, ShimError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| ShimError::DeathSignal(error.into()))?;
    if getppid().map(Pid::as_raw_pid) != i32::try_from(parent).ok() {
        return Err(ShimError::Orphaned(parent));
    }
    introduce();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    if std::env::var_os("LISTEN_FDS").is_some() {
        command.env("LISTEN_PID", getpid().as_raw_pid().to_string());
    }
    Err(ShimError::Execute { program: program.to_owned(), source: command.exec() })
}

/// Tells the guard of this process' group, before there is a program that could start others in it.
fn introduce() {
    let pid = std::process::id();
    if let Ok(Some(ticks)) = start_ticks(pid) {
        // Without a guard the program is killed with its parent all the same; only its own children are not.
        let _ = rustix::io::write(io::stdin(), introduction(pid, ticks).as_bytes());
    }
}
