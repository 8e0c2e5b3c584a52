//! The less loaded of two endpoints drawn at random.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::endpoint::Endpoint;

/// How long an observed latency stays: after this, 1/e of it is left. Long enough to remember an outage, short enough to
/// forgive it.
const DECAY: Duration = Duration::from_secs(10);

/// What an endpoint that nothing is known of is taken to need, so that it is neither flooded nor shunned.
const UNKNOWN: Duration = Duration::from_millis(1);

/// What a failure counts as: slow enough that any working endpoint is preferred until the memory of it decays.
pub(crate) const FAILURE: Duration = Duration::from_secs(5);

/// What is less by less than this is taken for equal, and the draw decides. Without it the eldest of idle endpoints, whose
/// memory has faded for some nanoseconds more, would always win.
const CLEARLY_LESS: f64 = 0.9;

/// How busy an endpoint is, as one worker sees it: peak EWMA of the time to the response head, times the requests in
/// flight.
///
/// A slower answer counts at once, a faster one gradually, so that trouble is seen early and forgiven late (the measure
/// is Finagle's).
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    latency: Mutex<Latency>,
}

#[derive(Debug)]
struct Latency {
    seconds: f64,
    at: Instant,
}

impl Latency {
    fn decayed(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.seconds * (-age / DECAY.as_secs_f64()).exp()
    }
}

impl Load {
    pub(crate) fn new() -> Self {
        let latency = Latency { seconds: UNKNOWN.as_secs_f64(), at: Instant::now() };
        Self { in_flight: AtomicU32::new(0), latency: Mutex::new(latency) }
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Takes in how long a response head took, or [`FAILURE`].
    pub(crate) fn observe(&self, took: Duration) {
        let now = Instant::now();
        let took = took.as_secs_f64();
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let old = latency.decayed(now);
        let weight = (-now.saturating_duration_since(latency.at).as_secs_f64() / DECAY.as_secs_f64()).exp();
        let seconds = if took > old { took } else { latency.seconds * weight + took * (1.0 - weight) };
        *latency = Latency { seconds, at: now };
    }

    /// Lower is better.
    fn score(&self, now: Instant) -> f64 {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner).decayed(now);
        // An idle endpoint's memory fades towards the unknown, not towards nothing.
        let latency = latency.max(UNKNOWN.as_secs_f64() / 10.0);
        latency * f64::from(self.in_flight.load(Ordering::Relaxed) + 1)
    }
}

/// One request in flight to an endpoint.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Load>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Picks the endpoint for one attempt: the less loaded of two drawn at random from those not tried yet.
///
/// `None`: every endpoint has been tried.
///
/// Source: Mitzenmacher 2001, "The Power of Two Choices in Randomized Load Balancing".
pub(crate) fn pick<'a>(endpoints: &'a [Arc<Endpoint>], tried: &[Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>> {
    let is_fresh = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|other| Arc::ptr_eq(other, endpoint));
    let fresh = if tried.is_empty() { endpoints.len() } else { endpoints.iter().filter(is_fresh).count() };
    let nth = |n| endpoints.iter().filter(is_fresh).nth(n);
    match fresh {
        0 => None,
        1 => nth(0),
        count => {
            let first = rand::rng().random_range(0..count);
            let second = (first + rand::rng().random_range(1..count)) % count;
            let (a, b) =
                if tried.is_empty() { (&endpoints[first], &endpoints[second]) } else { (nth(first)?, nth(second)?) };
            let now = Instant::now();
            Some(if b.load.score(now) < a.load.score(now) * CLEARLY_LESS { b } else { a })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
        (1..=count).map(|port| Arc::new(Endpoint::plain(([127, 0, 0, 1], port).into(), Default::default()))).collect()
    }

    #[tokio::test]
    async fn the_less_loaded_of_two_wins() {
        let two = endpoints(2);
        let _busy = two[0].load.begin();
        for _ in 0..32 {
            assert!(Arc::ptr_eq(pick(&two, &[]).unwrap(), &two[1]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shunned_and_later_forgiven() {
        let two = endpoints(2);
        two[0].load.observe(FAILURE);
        two[1].load.observe(Duration::from_millis(1));
        assert!(Arc::ptr_eq(pick(&two, &[]).unwrap(), &two[1]));
        tokio::time::advance(Duration::from_secs(120)).await;
        let _one_request = two[1].load.begin();
        assert!(Arc::ptr_eq(pick(&two, &[]).unwrap(), &two[0]));
    }

    #[tokio::test]
    async fn each_endpoint_is_tried_once() {
        let three = endpoints(3);
        let mut tried = Vec::new();
        while let Some(endpoint) = pick(&three, &tried) {
            tried.push(Arc::clone(endpoint));
        }
        assert_eq!(tried.len(), 3);
        assert!(three.iter().all(|endpoint| tried.iter().any(|other| Arc::ptr_eq(other, endpoint))));
    }

    #[tokio::test]
    async fn every_endpoint_gets_its_share() {
        let four = endpoints(4);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..512 {
            seen.insert(pick(&four, &[]).unwrap().address());
        }
        assert_eq!(seen.len(), 4);
    }
}
