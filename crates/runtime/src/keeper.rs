//! Keeps one program running: start, wait, back off, start again.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use samspill_observability::chain;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::event::Event;
use crate::process::{Process, SpawnError, Spec};

/// A program that is kept running: an app, a proxy or the controller.
pub(crate) trait Part: Send {
    /// The name in events and of the log.
    fn name(&self) -> &str;

    /// How long it may take to end when asked to.
    fn grace(&self) -> Duration;

    /// How patient to be with it.
    fn backoff(&self) -> Backoff;

    /// What to start this time.
    fn spec(&mut self) -> Result<Spec, SpawnError>;

    /// There is a process.
    fn started(&mut self, pid: u32, restarts: u32);

    /// There is none any more.
    fn ended(&mut self);

    /// Whether an exit with this code says that a further start cannot help, and all must be stopped.
    fn is_hopeless(&self, _code: i32) -> bool {
        false
    }

    /// Looks after the process while there is one. Returns only if it must be restarted, with the reason in words.
    fn watch(&mut self) -> impl Future<Output = String> + Send;
}

/// Keeps a part running until it shall `stop`, all shall end at once, or it is hopeless.
pub(crate) async fn keep(context: &Context, part: &mut impl Part, stop: &CancellationToken) {
    let log = context.logs.of(part.name());
    let at_once = context.shutdown.at_once();
    let mut backoff = part.backoff();
    let mut restarts = 0;
    while !stop.is_cancelled() && !at_once.is_cancelled() {
        let shim = &context.settings.executable;
        let spawned = part.spec().and_then(|spec| Process::spawn(spec, shim, &context.guard, &log));
        let (reason, ran) = match spawned {
            Ok(mut process) => {
                part.started(process.pid(), restarts);
                let reason = until_ended(part, &mut process, stop, at_once).await;
                part.ended();
                let Some(reason) = reason else { return };
                (reason, process.ran())
            }
            Err(error) => (Reason::Other(format!("could not be started: {}", chain(&error))), Duration::ZERO),
        };

        let (reason, last_line) = match reason {
            Reason::Exit(code) if part.is_hopeless(code) => {
                let words = log.last_line().unwrap_or_else(|| format!("{} exited with code {code}", part.name()));
                return context.shutdown.give_up(words);
            }
            Reason::Exit(code) => (format!("exited with code {code}"), log.last_line()),
            Reason::Other(reason) => (reason, None),
        };
        let delay = backoff.after(ran);
        context.board.tell(Event::Restart { name: part.name().to_owned(), reason, last_line, delay });
        tokio::select! {
            () = tokio::time::sleep(delay) => restarts += 1,
            () = stop.cancelled() => {}
            () = at_once.cancelled() => {}
        }
    }
}

/// Why there is no process any more, in words.
enum Reason {
    /// It exited with this code, and may have said why.
    Exit(i32),
    /// Its last words are about something else.
    Other(String),
}

/// Why the process ended; none if it was asked to.
async fn until_ended(
    part: &mut impl Part,
    process: &mut Process,
    stop: &CancellationToken,
    at_once: &CancellationToken,
) -> Option<Reason> {
    let failure = tokio::select! {
        ended = process.ended() => return Some(in_words(ended)),
        reason = part.watch() => Some(Reason::Other(reason)),
        () = stop.cancelled() => None,
        () = at_once.cancelled() => None,
    };
    // A failing process is stopped like any other, but a stop of the whole that comes meanwhile needs no restart.
    if let Err(error) = process.stop(part.grace(), at_once).await {
        tracing::error!(process = part.name(), %error, "the end of a process cannot be observed");
    }
    failure
}

fn in_words(ended: io::Result<ExitStatus>) -> Reason {
    match ended {
        Ok(status) => match status.code() {
            Some(code) => Reason::Exit(code),
            // "signal: 9 (SIGKILL)"
            None => Reason::Other(format!("was ended by {}", status.to_string().replace(':', ""))),
        },
        Err(error) => Reason::Other(format!("cannot be observed: {error}")),
    }
}
