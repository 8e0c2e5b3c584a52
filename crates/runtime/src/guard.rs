//! The guard: `samspill __guard`, which outlives a killed runtime just long enough to kill what the kernel leaves.
//!
//! The kernel kills the runtime's children with it, but not what they have started themselves. So the guard reads a pipe whose
//! other end is the runtime's. The shim of each child writes its process group there before it becomes the program, and the
//! runtime writes that a group has ended while its number still is nobody else's. When the pipe ends, the runtime has been
//! killed, and so are the groups that are left. A program that has left its group, as daemons do, is out of reach.
//!
//! | line | |
//! |---|---|
//! | `+PID TICKS` | a group, by its first process and when that started |
//! | `-PID` | it is gone |
//! | `.` | the runtime ends in order: there is nothing to do |

use std::collections::BTreeMap;
use std::io::{self, BufRead, PipeReader, PipeWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::status::Board;
use crate::ticks::start_ticks;

/// How long the guard may take to read one line and end.
const GRACE: Duration = Duration::from_secs(5);

/// Process groups, by number: when the first process of each started.
type Groups = BTreeMap<u32, u64>;

/// The runtime's end.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Kept, so that what is written while there is no guard waits for the next one.
    reader: PipeReader,
    writer: PipeWriter,
    /// For a guard that takes over from one that was killed.
    groups: Mutex<Groups>,
}

impl Guard {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // A guard that hangs must not stop the runtime.
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Self { reader, writer, groups: Mutex::default() })
    }

    /// Where a child's shim tells its group: its standard input.
    pub(crate) fn line(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.writer.try_clone()?))
    }

    /// A child was started in a group of its own. Its shim tells the guard by itself, at the right moment.
    pub(crate) fn started(&self, pid: Pid) {
        let pid = number(pid);
        if let Ok(Some(ticks)) = start_ticks(pid) {
            self.groups().insert(pid, ticks);
        }
    }

    /// A group has been killed, and its number has not been given back yet.
    pub(crate) fn ended(&self, pid: Pid) {
        let pid = number(pid);
        self.groups().remove(&pid);
        self.say(&format!("-{pid}\n"));
    }

    /// Has a guard run until it is told to `stop`.
    pub(crate) async fn keep(&self, executable: &Path, state_dir: &Path, board: &Board, stop: &CancellationToken) {
        let mut backoff = Backoff::for_own_part();
        loop {
            let begun = Instant::now();
            // The one before may have taken these to its grave.
            let known = self.groups().clone();
            known.iter().for_each(|(pid, ticks)| self.say(&introduction(*pid, *ticks)));
            let problem = match self.spawn(executable, state_dir) {
                Ok(mut child) => tokio::select! {
                    // "signal: 9 (SIGKILL)"
                    status = child.wait() => match status {
                        Ok(status) => status.to_string().replace(':', ""),
                        Err(error) => error.to_string(),
                    },
                    () = stop.cancelled() => return self.dismiss(child).await,
                },
                Err(error) => error.to_string(),
            };
            board.error("guard", format!("has ended, {problem}, and is started again"));
            tokio::select! {
                () = tokio::time::sleep(backoff.after(begun.elapsed())) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn spawn(&self, executable: &Path, state_dir: &Path) -> io::Result<Child> {
        let mut command = Command::new(executable);
        // The folder says in a list of processes whose guard it is. No terminal reaches a group of its own.
        command.arg("__guard").arg(state_dir).process_group(0);
        command.stdin(self.reader.try_clone()?).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    async fn dismiss(&self, mut child: Child) {
        self.say(".\n");
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            // It hangs; nothing depends on it any more.
            let _ = child.start_kill();
        }
    }

    fn say(&self, line: &str) {
        // Fails only while a guard hangs, after thousands of lines.
        let _ = (&self.writer).write_all(line.as_bytes());
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line that introduces a group.
pub(crate) fn introduction(pid: u32, ticks: u64) -> String {
    format!("+{pid} {ticks}\n")
}

/// What `samspill __guard` does, with the pipe as standard input.
///
/// # Errors
/// The pipe cannot be read. Nothing has been killed then.
pub fn run() -> io::Result<()> {
    if let Some(groups) = left(io::stdin().lock())? {
        groups.into_iter().for_each(|(pid, ticks)| kill(pid, ticks));
    }
    Ok(())
}

/// The groups that are left at the end of the pipe; none if the runtime has ended in order.
fn left(lines: impl BufRead) -> io::Result<Option<Groups>> {
    let mut groups = Groups::new();
    for line in lines.lines() {
        let line = line?;
        if line == "." {
            return Ok(None);
        }
        // A line that was cut is of a process that was killed while it wrote, and so is no program yet.
        if let Some((pid, ticks)) = line.strip_prefix('+').and_then(|group| group.split_once(' ')) {
            groups.extend(pid.parse::<u32>().ok().zip(ticks.parse::<u64>().ok()));
        } else if let Some(pid) = line.strip_prefix('-').and_then(|pid| pid.parse().ok()) {
            groups.remove(&pid);
        }
    }
    Ok(Some(groups))
}

/// Kills a group, unless its number has become another process'. That cannot be while a process of the group is left, because
/// the kernel gives no number away that a group still has.
fn kill(pid: u32, ticks: u64) {
    let is_another = matches!(start_ticks(pid), Ok(Some(found)) if found != ticks);
    if let (false, Some(group)) = (is_another, Pid::from_raw(pid.cast_signed())) {
        // A group without a process is what we want.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use super::*;

    #[test]
    fn what_has_ended_is_not_left() {
        let text = "+7 100\n+8 101\n-7\nnonsense\n+9\n-8 1\n-\n+10 102\n-11\n+7 103\n+12 10";
        assert_eq!(left(text.as_bytes()).unwrap(), Some(Groups::from([(7, 103), (8, 101), (10, 102), (12, 10)])));
        assert_eq!(left(&b""[..]).unwrap(), Some(Groups::new()));
        assert_eq!(left(&b"+7 100\n.\n"[..]).unwrap(), None, "an end in order");
    }

    #[test]
    fn a_number_that_is_now_anothers_is_left_alone() {
        let mut sleep = std::process::Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let ticks = start_ticks(sleep.id()).unwrap().unwrap();
        kill(sleep.id(), ticks - 1);
        assert_eq!(sleep.try_wait().unwrap(), None);
        kill(sleep.id(), ticks);
        assert_eq!(sleep.wait().unwrap().signal(), Some(9));
    }
}
