//! The test run.

use anyhow::Result;

use crate::command::{self, cargo, exists};
use crate::peers;

/// Runs every test, nextest or not; with `peers`, those against a real peer too.
pub(crate) fn run(with_peers: bool, filter: Option<&str>) -> Result<()> {
    if with_peers {
        peers::require()?;
    }
    // The system tests start the command, which finds the services built.
    run_cargo(&["build", "--workspace", "--bins", "--quiet"])?;
    let features: &[&str] = if with_peers { &["--features", "samspill-tests/peers"] } else { &[] };
    let filter = filter.as_slice();
    if exists("cargo-nextest", "--version") {
        run_cargo(&[&["nextest", "run", "--workspace"], features, filter].concat())?;
    } else {
        run_cargo(&[&["test", "--workspace", "--lib", "--bins", "--tests"], features, filter].concat())?;
    }
    if filter.is_empty() {
        run_cargo(&["test", "--doc", "--package", "samspill", "--package", "samspill-compat"])
    } else {
        Ok(())
    }
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    command::run(&mut cargo(arguments))
}
