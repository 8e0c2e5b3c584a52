//! `samspill down`: works without a controller, and without a runtime that answers.

use std::time::Duration;

use crate::args::State;
use crate::client::block_on;
use crate::exit::{Exit, Failure, failure};
use crate::output::say;

/// How often is looked whether the process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn down(args: &State) -> Result<Exit, Failure> {
    let Some(running) = samspill_runtime::state::find(&args.state_dir).map_err(failure)? else {
        say(&format!("nothing to stop: no mesh runs with the state folder `{}`", args.state_dir.display()));
        return Ok(Exit::Success);
    };
    let cannot_stop = |error| Failure::new(format!("cannot stop process {}: {error}", running.pid));
    if running.terminate().map_err(cannot_stop)? {
        say(&format!("process {} drains: the edge first, then the services, their sidecars last", running.pid));
    }
    block_on(async {
        let mut is_interrupted = false;
        while running.is_alive() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                _ = tokio::signal::ctrl_c() => {
                    // As in `up`: the second time is at once.
                    running.interrupt().map_err(cannot_stop)?;
                    is_interrupted = true;
                }
            }
        }
        say("stopped");
        Ok(if is_interrupted { Exit::Interrupted } else { Exit::Success })
    })
}
