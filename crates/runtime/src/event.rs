//! What a person who watches `samspill up` is told.

use std::fmt;
use std::time::Duration;

/// How much of a process' last line is shown.
const LINE_CHARACTERS: usize = 300;

/// Something worth a line on the screen. `Display` is that line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The controller has made the files win; one sentence per change since last time.
    Applied(Vec<String>),
    /// An instance, or the edge, may receive traffic.
    Ready {
        /// The instance, or `edge`.
        name: String,
    },
    /// An instance, or the edge, still runs but may not receive traffic now.
    NotReady {
        /// The instance, or `edge`.
        name: String,
    },
    /// All that is wanted runs and is ready. Said once, the first time.
    AllReady,
    /// A process ended by itself, or failed its liveness probe, and will be started again.
    Restart {
        /// The process: an instance, `<instance>.sidecar`, `edge` or `controller`. Also the name of its log.
        name: String,
        /// Why it ended, in words.
        reason: String,
        /// The last line that it wrote, if it exited by itself.
        last_line: Option<String>,
        /// How long until it is started again.
        delay: Duration,
    },
    /// Something failed that a person may have to act on.
    Error {
        /// The process concerned, or the part of the runtime.
        name: String,
        /// What, in words.
        message: String,
    },
    /// The drain has begun: edge, services, sidecars, controller.
    Stopping,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(changes) if changes.is_empty() => write!(f, "the files say what they said before"),
            Self::Applied(changes) => write!(f, "{}", changes.join("\n")),
            Self::Ready { name } => write!(f, "{name} is ready"),
            Self::NotReady { name } => write!(f, "{name} is not ready"),
            Self::AllReady => write!(f, "all is ready"),
            Self::Restart { name, reason, last_line, delay } => {
                write!(f, "{name} {reason}; ")?;
                match delay.as_secs() {
                    0 => write!(f, "restarting it")?,
                    seconds => write!(f, "restarting it in {seconds} s")?,
                }
                match last_line {
                    Some(line) => {
                        write!(f, " (its last line: {})", line.chars().take(LINE_CHARACTERS).collect::<String>())
                    }
                    None => Ok(()),
                }
            }
            Self::Error { name, message } => write!(f, "{name}: {message}"),
            Self::Stopping => write!(f, "stopping: the edge first, then the services, their sidecars last"),
        }
    }
}
