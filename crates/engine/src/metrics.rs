//! What a worker counts: arrays of atomics behind handles that are looked up when a backend or a connection is made, never
//! per request. Encoding them is the host's work, on another thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::reason::Reason;

/// Upper bounds of the duration buckets, in seconds: those of the HTTP semantic conventions.
pub const DURATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Which way a request goes, seen from the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// To the own workload.
    Inbound,
    /// From the own workload.
    Outbound,
    /// From a stranger into the mesh.
    Edge,
}

impl Side {
    /// Every side.
    pub const ALL: [Self; 3] = [Self::Inbound, Self::Outbound, Self::Edge];

    fn index(self) -> usize {
        match self {
            Self::Inbound => 0,
            Self::Outbound => 1,
            Self::Edge => 2,
        }
    }

    /// The value of the label, and of the span attribute `samspill.proxy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Edge => "edge",
        }
    }
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrafficKey {
    /// Which way.
    pub side: Side,
    /// `namespace/name` of the calling workload, or `stranger`.
    pub source: String,
    /// `namespace/name` of the called one.
    pub destination: String,
}

/// All counters of a proxy.
#[derive(Debug, Default)]
pub struct Metrics {
    traffic: Mutex<BTreeMap<TrafficKey, Arc<Traffic>>>,
    failures: [AtomicU64; Reason::ALL.len()],
    handshakes: [[AtomicU64; 2]; 3],
    connections: [AtomicU64; 3],
}

impl Metrics {
    /// The counters of one source and destination.
    pub fn traffic(&self, key: TrafficKey) -> Arc<Traffic> {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(traffic.entry(key).or_default())
    }

    /// Every pair seen so far.
    pub fn all_traffic(&self) -> Vec<(TrafficKey, Arc<Traffic>)> {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.iter().map(|(key, traffic)| (key.clone(), Arc::clone(traffic))).collect()
    }

    /// Counts an answer that the proxy made itself.
    pub fn failure(&self, reason: Reason) {
        let index = Reason::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = index.and_then(|index| self.failures.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers that the proxy made itself, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.failures.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// Counts a TLS handshake of the mesh.
    pub fn handshake(&self, side: Side, succeeded: bool) {
        self.handshakes[side.index()][usize::from(succeeded)].fetch_add(1, Ordering::Relaxed);
    }

    /// TLS handshakes of a side: how many, if they succeeded or if they did not.
    pub fn handshakes(&self, side: Side, succeeded: bool) -> u64 {
        self.handshakes[side.index()][usize::from(succeeded)].load(Ordering::Relaxed)
    }

    /// Counts an accepted connection until the guard is dropped.
    pub fn connection(self: &Arc<Self>, side: Side) -> Connection {
        self.open(side).fetch_add(1, Ordering::Relaxed);
        Connection { metrics: Arc::clone(self), side }
    }

    /// Accepted connections that are open now.
    pub fn connections(&self, side: Side) -> u64 {
        self.open(side).load(Ordering::Relaxed)
    }

    fn open(&self, side: Side) -> &AtomicU64 {
        &self.connections[side.index()]
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    metrics: Arc<Metrics>,
    side: Side,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.open(self.side).fetch_sub(1, Ordering::Relaxed);
    }
}

/// The requests of one source to one destination.
#[derive(Debug, Default)]
pub struct Traffic {
    /// By the first digit of the status; 0 where no answer came.
    by_class: [AtomicU64; 6],
    in_flight: AtomicU64,
    buckets: [AtomicU64; DURATION_BUCKETS.len() + 1],
    sum_micros: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficTotals {
    /// Finished requests by the first digit of the status; index 0 where no answer came.
    pub by_class: [u64; 6],
    /// Begun and not ended.
    pub in_flight: u64,
    /// Finished requests per bucket of [`DURATION_BUCKETS`], not cumulative; the last is for what took longer.
    pub buckets: Vec<u64>,
    /// Of all durations.
    pub sum_seconds: f64,
}

impl Traffic {
    /// Counts a request until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Counted {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Counted { traffic: Arc::clone(self), begun: Instant::now(), class: 0 }
    }

    /// The counters now.
    pub fn totals(&self) -> TrafficTotals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficTotals {
            by_class: std::array::from_fn(|class| load(&self.by_class[class])),
            in_flight: load(&self.in_flight),
            buckets: self.buckets.iter().map(load).collect(),
            sum_seconds: Duration::from_micros(load(&self.sum_micros)).as_secs_f64(),
        }
    }
}

/// One request being counted.
#[derive(Debug)]
pub struct Counted {
    traffic: Arc<Traffic>,
    begun: Instant,
    class: usize,
}

impl Counted {
    /// Says how the request was answered.
    pub fn answered(&mut self, status: http::StatusCode) {
        self.class = usize::from(status.as_u16() / 100).min(5);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let bucket = DURATION_BUCKETS.partition_point(|bound| *bound < took.as_secs_f64());
        self.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.traffic.by_class[self.class].fetch_add(1, Ordering::Relaxed);
        self.traffic.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.traffic.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_is_counted_at_its_end() {
        let traffic = Arc::new(Traffic::default());
        let mut counted = traffic.begin();
        assert_eq!(traffic.totals().in_flight, 1);
        tokio::time::advance(Duration::from_millis(30)).await;
        counted.answered(http::StatusCode::CREATED);
        drop(counted);
        let totals = traffic.totals();
        assert_eq!((totals.in_flight, totals.by_class[2]), (0, 1));
        assert_eq!(totals.buckets.iter().position(|count| *count == 1), Some(3));
    }
}
