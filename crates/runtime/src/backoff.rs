//! How long to wait before a process that ended is started again: Kubernetes' CrashLoopBackOff.

use std::time::Duration;

/// The wait after the second failure; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A process that ran this long has proven itself: its earlier failures are forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// The memory of one process' failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// How long to wait now that the process ended after `ran`: 0, 10, 20, 40 … 300 s.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        let wait = if ran >= FORGIVEN_AFTER { Duration::ZERO } else { self.next };
        self.next = (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(ran_seconds: &[u64]) -> Vec<u64> {
        let mut backoff = Backoff::default();
        ran_seconds.iter().map(|&ran| backoff.after(Duration::from_secs(ran)).as_secs()).collect()
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_wait_doubles_up_to_five_minutes() {
        assert_eq!(waits(&[1; 9]), [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_forgive_everything() {
        assert_eq!(waits(&[1, 1, 1, 599, 600, 1]), [0, 10, 20, 40, 0, 10]);
    }
}
