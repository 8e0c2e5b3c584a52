//! The project's own automation: what CI runs, and what a person runs before it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a program that talks to a person and measures wall time"
)]

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod check;
mod command;
mod measure;
mod peers;
mod test;
mod tidy;

/// Samspill's own automation.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format, clippy and rustdoc with warnings as errors, tidy.
    Check,
    /// The rules that no compiler knows: layering, features, module headers, forbidden attributes, named paths.
    Tidy,
    /// All tests that need only cargo.
    Test {
        /// Also those that need a real peer: Chromium, Envoy, grpcio.
        #[arg(long)]
        peers: bool,
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// The real peers that tests talk to.
    Peers {
        #[command(subcommand)]
        action: peers::Action,
    },
    /// Speed and memory, beside the peers in one run.
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// How long a first `up` from a fresh clone takes, a second one, the test run, and compiling a new service.
    Measure,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Check => check::run_all(),
        Task::Tidy => tidy::run(),
        Task::Test { peers, filter } => test::run(peers, filter.as_deref()),
        Task::Peers { action } => peers::run_action(&action),
        Task::Bench { what } => bench::run(&what),
        Task::Measure => measure::run(),
    }
}
