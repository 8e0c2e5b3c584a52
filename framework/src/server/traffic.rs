//! [`Traffic`]: what goes on on one connection, so that it can be told when nothing does.

use std::sync::atomic::{AtomicU64, Ordering};

use samspill_net::drain::DrainWatch;
use tokio::sync::Notify;

use super::limits::{IDLE_CHECKS, IDLE_TIMEOUT, LAST_CALL};

/// Counts, which are looked at now and then: a timer for each request would cost more than the rest of its connection. Only
/// the connection's own task counts.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    begun: AtomicU64,
    answered: AtomicU64,
    writes: AtomicU64,
    first: Notify,
}

impl Traffic {
    /// A request has begun.
    pub(super) fn begin(&self) {
        if count(&self.begun) == 1 {
            self.first.notify_one();
        }
    }

    /// A request has the head of its answer.
    pub(super) fn answer(&self) {
        count(&self.answered);
    }

    /// Some of an answer has left.
    pub(super) fn write(&self) {
        count(&self.writes);
    }

    /// Returns when the drain lets the connection end.
    ///
    /// hyper's `graceful_shutdown` closes a connection on which no request has begun, although one may be on its way: so
    /// this waits for that, a little.
    pub(super) async fn drained(&self, drain: &DrainWatch) {
        drain.started().await;
        if self.begun.load(Ordering::Relaxed) == 0 {
            tokio::select! {
                () = self.first.notified() => {}
                () = tokio::time::sleep(LAST_CALL) => {}
            }
        }
    }

    /// Returns when nothing has gone on for the idle timeout, and nobody waits for an answer.
    pub(super) async fn ceased(&self) {
        let mut silent_checks = 0;
        while silent_checks < IDLE_CHECKS {
            let before = self.counts();
            tokio::time::sleep(IDLE_TIMEOUT / IDLE_CHECKS).await;
            let now @ [begun, answered, _] = self.counts();
            let is_silent = now == before && begun == answered;
            silent_checks = if is_silent { silent_checks + 1 } else { 0 };
        }
    }

    fn counts(&self) -> [u64; 3] {
        [&self.begun, &self.answered, &self.writes].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Counts on, and gives the new count. In two steps, because one task counts.
fn count(counter: &AtomicU64) -> u64 {
    let next = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(next, Ordering::Relaxed);
    next
}
