//! Tells watchers that something was appended, by this replica or by another.
//!
//! The replicas share a database and nothing else, so each looks at its last event at short intervals: one small query,
//! whatever the number of watchers, and none when nobody watches.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::store::Store;

/// How much later than its reply to the writer an event may reach a watcher.
const INTERVAL: Duration = Duration::from_millis(100);

/// The number of the last event that was seen; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    last_event: watch::Sender<i64>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self { last_event: watch::Sender::new(0) }
    }

    /// Changes after each event.
    pub(crate) fn subscribe(&self) -> watch::Receiver<i64> {
        self.last_event.subscribe()
    }

    /// Looks for events for as long as it is polled.
    pub(crate) async fn run(&self, store: &Store) -> Infallible {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.last_event.receiver_count() == 0 {
                continue;
            }
            match store.last_event().await {
                Ok(number) => {
                    self.last_event.send_if_modified(|last| std::mem::replace(last, number) != number);
                }
                Err(error) => tracing::warn!(?error, "the last event cannot be read; watchers wait"),
            }
        }
    }
}
