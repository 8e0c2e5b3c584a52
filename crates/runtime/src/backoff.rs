//! How long to wait before a process that ended is started again.

use std::time::Duration;

/// How patient to be with one kind of process.
#[derive(Clone, Copy, Debug)]
struct Policy {
    /// The wait after the second failure; doubled after each further one.
    first: Duration,
    /// The longest wait.
    longest: Duration,
    /// A process that ran this long has proven itself: its earlier failures are forgotten.
    forgiven_after: Duration,
}

/// Kubernetes' CrashLoopBackOff, which people know.
const APP: Policy = Policy {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(300),
    forgiven_after: Duration::from_secs(600),
};

/// For the mesh's own parts. Others stand still while one is away, and what ends them is a machine in trouble or a person
/// who tries it out, not a program that cannot work.
const OWN_PART: Policy = Policy {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
    forgiven_after: Duration::from_secs(10),
};

/// The memory of one process' failures.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Policy,
    next: Duration,
}

impl Backoff {
    /// For a user's program: 0, 10, 20, 40 … 300 s.
    pub(crate) fn for_app() -> Self {
        Self { policy: APP, next: Duration::ZERO }
    }

    /// For a proxy or the controller: 0, 0.1, 0.2, 0.4 … 5 s.
    pub(crate) fn for_own_part() -> Self {
        Self { policy: OWN_PART, next: Duration::ZERO }
    }

    /// How long to wait now that the process ended after `ran`.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        let wait = if ran >= self.policy.forgiven_after { Duration::ZERO } else { self.next };
        self.next = (wait * 2).clamp(self.policy.first, self.policy.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(ran_seconds: &[u64]) -> Vec<u64> {
        let mut backoff = Backoff::for_app();
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
