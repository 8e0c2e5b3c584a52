//! The command `samspill`: kubectl's verbs for a mesh on one machine.
//!
//! `up` is the runtime; `proxy` and `controller` are its children; every other verb is a small client of the two Unix sockets
//! in the state folder. Data goes to stdout, everything else to stderr.
//!
//! Reading order: `args` (what can be said), `up` (the life of a mesh), `get`, `logs`, `scale`, `trace`, `down`, `check` (the
//! clients), `api` (contracts' documents, no mesh needed), `new` (code to begin with), `children` (what only the runtime types),
//! `client`, `output`, `exit` (what all of them use).

#![cfg(target_os = "linux")]

mod args;

mod up;

mod get;

mod logs;

mod scale;

mod trace;

mod down;

mod check;

mod api;

mod new;

mod children;

mod client;

mod machine;

mod table;

mod output;

mod environment;

mod exit;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ContextKind;

use args::{Args, Verb};
use exit::{Exit, Failure};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let outcome = match Args::try_parse() {
        Ok(args) => run(args.verb),
        Err(error) => usage(error),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        output::say(&failure.text);
        failure.exit
    });
    exit.into()
}

fn run(verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Up(args) => up::up(args),
        Verb::Down(args) => down::down(&args),
        Verb::Get(args) => get::get(&args),
        Verb::Logs(args) => logs::logs(&args),
        Verb::Scale(args) => scale::scale(&args),
        Verb::Trace(args) => trace::trace(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Api(args) => api::api(&args),
        Verb::New(args) => new::new(&args),
        Verb::Proxy(args) => children::proxy(args),
        Verb::Controller(args) => children::controller(args),
        Verb::Exec(args) => children::exec(&args),
        Verb::Guard { .. } => children::guard(),
        Verb::Daemon => up::daemon(),
    }
}

/// clap's own words; help and version are data, the rest is a mistake in the command line.
fn usage(mut error: clap::Error) -> Result<Exit, Failure> {
    // "To pass '--x' as a value, use '-- --x'": no value of ours begins with a dash.
    error.remove(ContextKind::Suggested);
    let rendered = error.render();
    if error.use_stderr() {
        let colored = output::stderr_has_color();
        let text = if colored { rendered.ansi().to_string() } else { rendered.to_string() };
        return Err(Failure { exit: Exit::Usage, text: text.trim_end().to_owned() });
    }
    let text = if output::stdout_has_color() { rendered.ansi().to_string() } else { rendered.to_string() };
    output::print(&text)?;
    Ok(Exit::Success)
}
