//! What a mesh is started with: everything is resolved, so that it can be handed to another process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use samspill_model::intent::Intent;
use samspill_runtime::Settings;
use serde::{Deserialize, Serialize};

use crate::environment;
use crate::exit::Failure;

/// What a mesh is started with.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Launch {
    /// Absolute.
    pub(super) state_dir: PathBuf,
    pub(super) http_port: u16,
    pub(super) otlp_endpoint: String,
    pub(super) trust_domain: String,
    pub(super) leaf_ttl: Duration,
    /// What to type for this command and this mesh.
    pub(super) command: CommandLine,
    /// Title and line of the commands to try.
    pub(super) examples: Vec<(String, String)>,
    pub(super) intent: Intent,
}

/// What to type to talk to a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandLine {
    /// `samspill` where the shell finds it, else a path.
    program: String,
    /// ` --state-dir DIR` unless it is the usual one.
    options: String,
}

impl CommandLine {
    pub(crate) fn verb(&self, verb: &str) -> String {
        format!("{} {verb}{}", self.program, self.options)
    }
}

impl Launch {
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings {
            state_dir: self.state_dir.clone(),
            http_port: self.http_port,
            otlp_endpoint: Some(self.otlp_endpoint.clone()),
            trust_domain: self.trust_domain.clone(),
            leaf_ttl: self.leaf_ttl,
            executable: std::env::current_exe()?,
        })
    }
}

/// How the user would call this very program, from where the user is.
pub(crate) fn command_line(state_dir: &Path) -> Result<CommandLine, Failure> {
    let executable = std::env::current_exe()?;
    let is_this = |folder: PathBuf| folder.join("samspill").canonicalize().is_ok_and(|found| found == executable);
    let in_path = environment::path().is_some_and(|path| std::env::split_paths(&path).any(is_this));
    let relative = std::env::current_dir().ok().and_then(|here| executable.strip_prefix(here).ok().map(Path::to_owned));
    let program = match relative {
        _ if in_path => "samspill".to_owned(),
        Some(relative) => format!("./{}", relative.display()),
        None => executable.display().to_string(),
    };
    let options = match state_dir {
        usual if usual == Path::new(".samspill") => String::new(),
        other => format!(" --state-dir {}", other.display()),
    };
    Ok(CommandLine { program, options })
}
