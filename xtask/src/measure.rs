//! How long a newcomer waits: a first `up` from a fresh clone, a second one, the test run, and a service of one's own.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::command::{cargo, run as run_command, target};

/// What is aimed at, on two cores.
const AIMS: [(&str, Duration); 4] = [
    ("first `up` from a fresh clone", Duration::from_secs(8 * 60)),
    ("second `up`", Duration::from_secs(5)),
    ("test run", Duration::from_secs(10 * 60)),
    ("a new service from `samspill new`, after dependencies are built", Duration::from_secs(15)),
];

pub(crate) fn run() -> Result<()> {
    let clone = target().join("measure");
    drop(std::fs::remove_dir_all(&clone));
    let folder = clone.to_string_lossy().into_owned();
    run_command(&mut crate::command::command("git", &["clone", "--quiet", ".", &folder]))?;

    let first = up(&clone)?;
    let second = up(&clone)?;
    let begun = Instant::now();
    run_command(&mut in_clone(&clone, &["xtask", "test"]))?;
    let tests = begun.elapsed();
    let service = new_service(&clone)?;

    println!("| what | took | aim |");
    println!("|---|---:|---:|");
    for ((what, aim), took) in AIMS.iter().zip([first, second, tests, service]) {
        println!("| {what} | {} | {} |", shown(took), shown(*aim));
    }
    Ok(())
}

/// From typing the README's command to ready, on an empty state folder; stopped again.
fn up(clone: &Path) -> Result<Duration> {
    let samspill = ["run", "--release", "--quiet", "--"];
    let begun = Instant::now();
    run_command(&mut in_clone(
        clone,
        &[&samspill[..], &["up", "examples/craterate", "--detach", "--http-port", "0"]].concat(),
    ))?;
    let took = begun.elapsed();
    run_command(&mut in_clone(clone, &[&samspill[..], &["down"]].concat()))?;
    Ok(took)
}

/// Compiles a service and its API, in the profile that `up` uses and beside the services that it has built. It comes last:
/// the clone's own tests know nothing of one more service.
fn new_service(clone: &Path) -> Result<Duration> {
    let new = ["run", "--release", "--quiet", "--", "new", "service", "measured", "--path", "examples/craterate"];
    run_command(&mut in_clone(clone, &new))?;
    let begun = Instant::now();
    run_command(&mut in_clone(clone, &["build", "--release", "--package", "measured"]))?;
    Ok(begun.elapsed())
}

/// cargo in the fresh clone, whose target folder is its own.
fn in_clone(clone: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(clone).env_remove("CARGO_TARGET_DIR");
    command
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
