//! Readiness and liveness: a question asked at intervals, with Kubernetes' thresholds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use samspill_model::intent::{Probe, ProbeCheck};
use tokio::time::Instant;

use crate::ask;

/// How soon something that has never been ready is asked again, so that `up` need not wait for a period of 10 s to pass.
/// It can only be found ready earlier: failures before the first success change nothing.
const EAGER_PERIOD: Duration = Duration::from_millis(100);

/// The thresholds: how many answers in a row turn one state into the other.
#[derive(Debug)]
struct Tracker {
    is_healthy: bool,
    /// Answers in a row that speak against the present state.
    against: u32,
    success_threshold: u32,
    failure_threshold: u32,
}

impl Tracker {
    /// Whether this answer changed the state.
    fn record(&mut self, is_success: bool) -> bool {
        if is_success == self.is_healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let threshold = if self.is_healthy { self.failure_threshold } else { self.success_threshold };
        if self.against < threshold {
            return false;
        }
        self.is_healthy = is_success;
        self.against = 0;
        true
    }
}

/// Something that became healthy, or stopped being so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) is_healthy: bool,
    /// The last answer, in words.
    pub(crate) answer: String,
}

/// Asks one probe's question for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Prober {
    check: Check,
    period: Duration,
    timeout: Duration,
    tracker: Tracker,
    is_eager: bool,
    next: Instant,
}

#[derive(Debug)]
enum Check {
    Http {
        address: SocketAddr,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        address: SocketAddr,
    },
    /// The probe names a port that the container does not have.
    NoSuchPort(u16),
}

impl Prober {
    /// A readiness probe: not ready until it says so.
    pub(crate) fn readiness(probe: &Probe, ports: &BTreeMap<u16, SocketAddr>) -> Self {
        Self::new(probe, ports, false)
    }

    /// A liveness probe: alive until it says otherwise.
    pub(crate) fn liveness(probe: &Probe, ports: &BTreeMap<u16, SocketAddr>) -> Self {
        Self::new(probe, ports, true)
    }

    /// A proxy's own `/readyz`. Its socket takes connections before the proxy runs, so the first answer comes when it starts.
    pub(crate) fn proxy(admin: SocketAddr) -> Self {
        let check = ProbeCheck::Http { path: "/readyz".to_owned(), port: 0, headers: Vec::new() };
        let probe = Probe {
            check,
            initial_delay_seconds: 0,
            period_seconds: 1,
            timeout_seconds: 2,
            success_threshold: 1,
            failure_threshold: 3,
        };
        Self::readiness(&probe, &BTreeMap::from([(0, admin)]))
    }

    fn new(probe: &Probe, ports: &BTreeMap<u16, SocketAddr>, is_healthy: bool) -> Self {
        let check = match &probe.check {
            ProbeCheck::Http { path, port, headers } => ports.get(port).map_or(Check::NoSuchPort(*port), |&address| {
                Check::Http { address, path: path.clone(), headers: headers.clone() }
            }),
            ProbeCheck::Tcp { port } => {
                ports.get(port).map_or(Check::NoSuchPort(*port), |&address| Check::Tcp { address })
            }
        };
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds.max(1)));
        Self {
            check,
            period: seconds(probe.period_seconds),
            timeout: seconds(probe.timeout_seconds),
            tracker: Tracker {
                is_healthy,
                against: 0,
                success_threshold: probe.success_threshold,
                failure_threshold: probe.failure_threshold,
            },
            is_eager: !is_healthy,
            next: Instant::now() + Duration::from_secs(u64::from(probe.initial_delay_seconds)),
        }
    }

    /// Asks until the answers cross a threshold.
    ///
    /// # Cancel safety
    /// An answer under way is lost; the count is kept.
    pub(crate) async fn changed(&mut self) -> Change {
        loop {
            tokio::time::sleep_until(self.next).await;
            let asked = Instant::now();
            let (is_success, answer) = self.check.ask(self.timeout).await;
            let period = if self.is_eager && !is_success { EAGER_PERIOD.min(self.period) } else { self.period };
            self.next = (asked + period).max(Instant::now());
            if self.tracker.record(is_success) {
                self.is_eager = false;
                return Change { is_healthy: is_success, answer };
            }
        }
    }
}

impl Check {
    async fn ask(&self, timeout: Duration) -> (bool, String) {
        match self {
            Self::Http { address, path, headers } => {
                match ask::ask(Method::GET, *address, path, headers, timeout).await {
                    Ok(status) => (status.is_success() || status.is_redirection(), format!("{path} answered {status}")),
                    Err(error) => (false, format!("{path}: {}", samspill_observability::chain(&error))),
                }
            }
            Self::Tcp { address } => match ask::connect(*address, timeout).await {
                Ok(()) => (true, "it accepts connections".to_owned()),
                Err(error) => (false, samspill_observability::chain(&error).to_string()),
            },
            Self::NoSuchPort(port) => (false, format!("{port} is no container port of it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(is_healthy: bool, success_threshold: u32, failure_threshold: u32, answers: &str) -> String {
        let mut tracker = Tracker { is_healthy, against: 0, success_threshold, failure_threshold };
        let mut state = |answer| {
            tracker.record(answer == '+');
            if tracker.is_healthy { '+' } else { '-' }
        };
        answers.chars().map(&mut state).collect()
    }

    #[test]
    fn only_answers_in_a_row_reach_a_threshold() {
        assert_eq!(states(true, 1, 3, "--+--+---+"), "++++++++-+");
        assert_eq!(states(false, 2, 1, "+-++-+-++"), "---+----+");
        assert_eq!(states(false, 1, 3, "---+"), "---+");
    }
}
