//! How the command ends.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The exit codes. They are part of the interface: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Success = 0,
    /// It could not be done.
    Failed = 1,
    /// The command line or a file is wrong (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// Only the controller, to the runtime: a further start cannot help.
    Hopeless = 78,
    /// Only the shim: there is no program to become, as a shell says it.
    NotExecuted = 127,
    /// A person has interrupted it (128 + SIGINT).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Hopeless => samspill_runtime::HOPELESS,
            Exit::NotExecuted => 127,
            Exit::Interrupted => 130,
        })
    }
}

/// Why something was not done, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty when there is nobody to read it.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(problem: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, text: format!("error: {problem}") }
    }

    /// A mistake in what was written, on the command line or in a file.
    pub(crate) fn usage(problem: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, ..Self::new(problem) }
    }

    /// What to type.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.text = format!("{}\n\nhint: {hint}", self.text);
        self
    }
}

impl From<io::Error> for Failure {
    /// Whoever reads has seen enough: a quiet success.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Success, text: String::new() },
            _ => Self::new(error),
        }
    }
}

/// An error of a library, with all its causes.
pub(crate) fn failure(error: impl std::error::Error + 'static) -> Failure {
    Failure::new(samspill_observability::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_are_documented() {
        let documented = [
            (Exit::Success, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 64),
            (Exit::Hopeless, 78),
            (Exit::NotExecuted, 127),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in documented {
            assert_eq!(ExitCode::from(exit), ExitCode::from(code), "{exit:?}");
        }
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_success() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.text.as_str()), (Exit::Success, ""));
    }
}
