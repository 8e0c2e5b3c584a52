//! `samspill up`: files → programs → a running mesh.
//!
//! Nothing is started, and nothing is built, before all that can be wrong with the files and the machine has been looked at.

mod build;

mod detach;

mod launch;

mod run;

mod screen;

use std::collections::BTreeMap;
use std::path::PathBuf;

use samspill_manifest::{Build, ClusterOnly, Loaded};

use crate::args::{DEFAULT_HTTP_PORT, Up};
use crate::exit::{Exit, Failure};
use crate::machine;
use crate::output::say;

use launch::Launch;

pub(crate) use detach::daemon;
pub(crate) use launch::command_line;

pub(crate) fn up(args: Up) -> Result<Exit, Failure> {
    // Phase 1: the files.
    let wrong = |mistakes: samspill_manifest::Mistakes| Failure { exit: Exit::Usage, text: mistakes.to_string() };
    let loaded = samspill_manifest::load(&args.folder).map_err(wrong)?;
    loaded.warnings.iter().for_each(|warning| say(&warning.to_string()));
    say(&cluster_only(&loaded.cluster_only));

    // Phase 2: the machine. The runtime looks again when it takes the port and the folder.
    let http_port = args.http_port.or(loaded.edge_port).unwrap_or(DEFAULT_HTTP_PORT);
    machine::state_dir(&args.state.state_dir)?;
    machine::port(http_port)?;

    // Phase 3: the programs.
    let built = build_all(&loaded)?;
    let examples = loaded.examples.clone();
    let intent = loaded.resolve(&built).map_err(wrong)?;

    // Phase 4: the mesh.
    let launch = Launch {
        state_dir: std::path::absolute(&args.state.state_dir)?,
        http_port,
        otlp_endpoint: args.otlp_endpoint,
        trust_domain: args.trust_domain,
        leaf_ttl: args.leaf_ttl,
        command: launch::command_line(&args.state.state_dir)?,
        examples: examples.into_iter().map(|example| (example.title, example.command)).collect(),
        intent,
    };
    if args.detach { detach::detach(&launch) } else { run::in_foreground(launch) }
}

/// The fields that mean nothing here, named once.
fn cluster_only(fields: &[ClusterOnly]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let mut text = "note: only a cluster has a use for these fields (docs/reference/manifests.md):\n".to_owned();
    for ClusterOnly { field, place } in fields {
        text.push_str(&format!("  {field} ({place})\n"));
    }
    text
}

/// Runs all commands and one cargo; gives the binary of each package.
fn build_all(loaded: &Loaded) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut packages = Vec::new();
    for build in &loaded.builds {
        match build {
            Build::Package(package) => packages.push(package.as_str()),
            Build::Command(command) => build::run_command(command, loaded.folder())?,
        }
    }
    if packages.is_empty() { Ok(BTreeMap::new()) } else { build::packages(&packages, loaded.folder()) }
}
