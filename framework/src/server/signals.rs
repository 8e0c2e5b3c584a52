//! What asks a service to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// SIGTERM and SIGINT, or, in tests, whoever holds the sender.
#[derive(Debug)]
pub(crate) enum Signals {
    Process { terminate: Signal, interrupt: Signal },
    Test(mpsc::UnboundedReceiver<()>),
}

impl Signals {
    /// Takes over the process's signals.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self::Process { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next time that we are asked.
    pub(crate) async fn next(&mut self) {
        match self {
            Self::Process { terminate, interrupt } => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            // Whoever drops the sender is no longer interested.
            Self::Test(asked) => drop(asked.recv().await),
        }
    }
}
