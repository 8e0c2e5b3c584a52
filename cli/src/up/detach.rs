//! `up --detach`: the mesh in a process of its own session, which outlives the terminal.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use samspill_runtime::api::StatusView;
use samspill_runtime::state;

use crate::client::{Client, Server, block_on};
use crate::exit::{Exit, Failure, failure};
use crate::output::{print, say, stdout_has_color, width};

use super::launch::Launch;
use super::run::{Audience, run};
use super::screen;

/// How often is looked whether all is ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// After how many looks is told again who is not: 5 s.
const LOOKS_PER_REPORT: u32 = 50;

/// Starts the daemon and returns when all is ready.
pub(super) fn detach(launch: &Launch) -> Result<Exit, Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(&launch.state_dir)?;
    let log_path = launch.state_dir.join("up.log");
    let log = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&log_path)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("__daemon")
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // By a pipe, never by arguments or a file: it holds the secrets' values.
        let written =
            serde_json::to_writer(&mut stdin, launch).map_err(std::io::Error::from).and_then(|()| stdin.flush());
        written.map_err(|error| Failure::new(format!("the daemon cannot be told what to run: {error}")))?;
    }
    block_on(wait_until_ready(launch, &mut child, &log_path))
}

async fn wait_until_ready(launch: &Launch, child: &mut Child, log: &Path) -> Result<Exit, Failure> {
    let client = Client::new(&launch.state_dir);
    let mut looks: u32 = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => {
                say(&format!("stopping process {} again; its log is {}", child.id(), log.display()));
                stop(launch)?;
                return Ok(Exit::Interrupted);
            }
        }
        if let Some(status) = child.try_wait()? {
            return Err(Failure {
                exit: Exit::Failed,
                text: Some(read(log).trim_end().to_owned())
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(|| format!("error: the daemon has ended at once ({status})")),
            });
        }
        // Until its socket is there, there is nobody to ask.
        let view = client.get::<StatusView>(Server::Runtime, "/v1/status").await.ok();
        let view = view.filter(|view| view.pid == child.id());
        if let Some(view) = view.as_ref().filter(|view| view.ready) {
            // What a person in the foreground would have seen.
            say(read(log).trim_end());
            print(&screen::screen(launch, view, screen::Stop::Command, width(), stdout_has_color()))?;
            return Ok(Exit::Success);
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS_PER_REPORT) {
            say(&waiting_for(view.as_ref(), log));
        }
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

fn waiting_for(view: Option<&StatusView>, log: &Path) -> String {
    let instances = view.iter().flat_map(|view| &view.instances).filter(|instance| !instance.ready);
    let edge = view.iter().filter_map(|view| view.edge.as_ref()).filter(|edge| !edge.ready).map(|_| "edge");
    let waiting: Vec<&str> = instances.map(|instance| instance.instance.as_str()).chain(edge).collect();
    let waiting = if waiting.is_empty() { "the controller".to_owned() } else { waiting.join(", ") };
    let text = read(log);
    let newest = text.lines().next_back().map(|line| format!("\n  newest: {line}")).unwrap_or_default();
    format!("still waiting for {waiting} (Ctrl-C stops it){newest}")
}

fn stop(launch: &Launch) -> Result<(), Failure> {
    if let Some(running) = state::find(&launch.state_dir).map_err(failure)? {
        running.terminate()?;
    }
    Ok(())
}

/// The daemon itself: reads what to run from stdin.
pub(crate) fn daemon() -> Result<Exit, Failure> {
    rustix::process::setsid().map_err(|error| Failure::new(format!("cannot leave the terminal: {error}")))?;
    let launch: Launch = serde_json::from_reader(std::io::stdin().lock())
        .map_err(|error| Failure::usage(format!("`samspill up --detach` starts this, not a person: {error}")))?;
    run(launch, Audience::Log)
}
