//! Building the programs: one cargo for all packages, found again by what cargo says it has made.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use tokio::time::Instant;

use crate::environment;
use crate::exit::Failure;
use crate::machine;
use crate::output::say;

/// Builds packages in the profile that this command was built in, so that what both need is compiled once.
pub(super) fn packages(names: &[&str], folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    machine::cargo()?;
    let manifest = folder.ancestors().map(|folder| folder.join("Cargo.toml")).find(|path| path.is_file());
    let manifest = manifest.ok_or_else(|| {
        Failure::new(format!(
            "there is no Cargo.toml in {} or above it, so {} cannot be built",
            folder.display(),
            names.join(", ")
        ))
        .hint("give the images in samspill.local.yaml an `exec` instead of a `build`")
    })?;
    // From where the user stands, so that a relative CARGO_TARGET_DIR means what it meant for us.
    let mut command = Command::new(environment::cargo());
    command.arg("build").arg("--manifest-path").arg(manifest).arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for name in names {
        command.args(["-p", name]);
    }
    say(&format!(
        "building {} {} with cargo: minutes the first time, seconds from then on\n  {}",
        names.len(),
        if names.len() == 1 { "program" } else { "programs" },
        names.join(", ")
    ));
    let begin = Instant::now();
    let mut cargo = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut messages = Messages::default();
    for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        messages.read(&line?);
    }
    let status = cargo.wait()?;
    if !status.success() {
        return Err(Failure::new(format!("cargo could not build the programs ({status}); nothing was started"))
            .hint("what cargo says is above; `samspill check` looks for what is missing on this machine"));
    }
    say(&format!("built in {:.1} s", begin.elapsed().as_secs_f32()));
    Ok(messages.binaries())
}

/// A command of `samspill.local.yaml`.
pub(super) fn run_command(line: &str, folder: &Path) -> Result<(), Failure> {
    say(&format!("running `{line}`"));
    let status = Command::new("sh").args(["-c", line]).current_dir(folder).stdin(Stdio::null()).status()?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{line}`, run in {}, ended with {status}; nothing was started", folder.display())))
}

/// The binaries of each package, from cargo's messages.
#[derive(Debug, Default)]
struct Messages {
    /// Package → name of the binary → where it is.
    found: BTreeMap<String, BTreeMap<String, PathBuf>>,
}

#[derive(Deserialize)]
struct Artifact {
    reason: String,
    package_id: String,
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Messages {
    fn read(&mut self, line: &str) {
        // Other messages have other fields.
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else { return };
        let is_binary = artifact.reason == "compiler-artifact" && artifact.target.kind.iter().any(|kind| kind == "bin");
        if let (true, Some(executable)) = (is_binary, artifact.executable) {
            let package = package_name(&artifact.package_id).to_owned();
            self.found.entry(package).or_default().insert(artifact.target.name, executable);
        }
    }

    /// The only binary of each package, or the one of its name.
    fn binaries(self) -> BTreeMap<String, PathBuf> {
        let one = |(package, mut binaries): (String, BTreeMap<String, PathBuf>)| {
            let path = if binaries.len() == 1 { binaries.pop_first()?.1 } else { binaries.remove(&package)? };
            Some((package, path))
        };
        self.found.into_iter().filter_map(one).collect()
    }
}

/// `path+file:///x/invoicing#0.1.0` and `path+file:///x/y#invoicing@0.1.0` are both `invoicing` (cargo, "Package ID
/// specifications").
fn package_name(id: &str) -> &str {
    let (url, fragment) = id.split_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _version)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_found_in_what_cargo_says() {
        let mut messages = Messages::default();
        for line in [
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/invoicing#0.0.0","target":{"kind":["bin"],"name":"invoicing"},"executable":"/t/invoicing","fresh":true}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/x#two@0.0.0","target":{"kind":["bin"],"name":"helper"},"executable":"/t/helper"}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/x#two@0.0.0","target":{"kind":["bin"],"name":"two"},"executable":"/t/two"}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/z#0.0.0","target":{"kind":["bin"],"name":"a"},"executable":"/t/a"}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/z#0.0.0","target":{"kind":["bin"],"name":"b"},"executable":"/t/b"}"#,
            r#"{"reason":"compiler-artifact","package_id":"registry+https://x#serde@1.0.0","target":{"kind":["lib"],"name":"serde"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ] {
            messages.read(line);
        }
        let expected = [("invoicing", "/t/invoicing"), ("two", "/t/two")];
        let expected = expected.map(|(package, path)| (package.to_owned(), PathBuf::from(path)));
        assert_eq!(messages.binaries(), BTreeMap::from(expected));
    }
}
