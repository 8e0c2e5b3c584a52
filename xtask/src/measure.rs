//! How long a newcomer waits: a first `up` from a fresh clone, a second one, and the test run.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::command::{cargo, run as run_command, target};

/// What is aimed at, on two cores.
const AIMS: [(&str, Duration); 3] = [
    ("first `up` from a fresh clone", Duration::from_secs(8 * 60)),
    ("second `up`", Duration::from_secs(5)),
    ("test run", Duration::from_secs(10 * 60)),
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

    println!("| what | took | aim |");
    println!("|---|---:|---:|");
    for ((what, aim), took) in AIMS.iter().zip([first, second, tests]) {
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
