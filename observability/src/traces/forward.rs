//! Passes received spans on to a collector that may start later, or never.
//!
//! What waits is bounded in bytes. When that is not enough the oldest is dropped: whoever starts Jaeger wants to see what
//! just happened.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tonic::transport::Endpoint;

use crate::otlp::{Backoff, Collector, Failure};

/// What may wait for the collector, in bytes of encoded requests: some ten thousand spans.
pub(super) const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Requests on their way to the collector.
#[derive(Debug)]
pub(super) struct Queue {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, waiting: Mutex::default(), arrived: Notify::new() }
    }

    /// Never waits; drops the oldest where there is no room.
    pub(super) fn push(&self, request: Bytes) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes += request.len();
        waiting.requests.push_back(request);
        while waiting.bytes > self.limit_bytes
            && let Some(oldest) = waiting.requests.pop_front()
        {
            waiting.bytes -= oldest.len();
            waiting.dropped += 1;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes the oldest, and how many were dropped since the last time.
    async fn next(&self) -> (Bytes, u64) {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<(Bytes, u64)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let request = waiting.requests.pop_front()?;
        waiting.bytes -= request.len();
        Some((request, std::mem::take(&mut waiting.dropped)))
    }
}

/// Delivers one request after the other, for ever.
pub(super) async fn run(queue: &Queue, endpoint: &Endpoint) -> ! {
    let mut collector = Collector::new(endpoint);
    let address = endpoint.uri();
    loop {
        let (request, dropped) = queue.next().await;
        if dropped > 0 {
            tracing::warn!(collector = %address, dropped, "batches of spans were not passed on: there was no room");
        }
        deliver(&mut collector, endpoint, &request).await;
    }
}

/// Tries until the collector has taken or refused it. That nobody listens there is usual, and no warning.
async fn deliver(collector: &mut Collector, endpoint: &Endpoint, request: &Bytes) {
    let address = endpoint.uri();
    let mut backoff = Backoff::new();
    let mut tries = 0_u32;
    loop {
        match collector.export(request.clone()).await {
            Ok(_) => {
                if tries > 0 {
                    tracing::info!(collector = %address, "the collector of spans is back: passing on what waited");
                }
                return;
            }
            Err(Failure::Refused(status)) => {
                tracing::warn!(collector = %address, %status, "the collector refused spans that were passed on");
                return;
            }
            Err(Failure::Away(status)) => {
                if tries == 0 {
                    let reason = status.message();
                    tracing::info!(collector = %address, reason, "no collector there yet: spans wait, the oldest give way");
                }
                tries = tries.saturating_add(1);
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let queue = Queue::new(100);
        for number in 0..1000_u32 {
            queue.push(Bytes::from(format!("{number:010}")));
        }
        let (oldest, dropped) = queue.next().await;
        assert_eq!((oldest, dropped), (Bytes::from("0000000990"), 990));
        let (_, dropped) = queue.next().await;
        assert_eq!(dropped, 0);
        // One that is larger than all room is dropped as well, and nothing is left behind.
        queue.push(Bytes::from(vec![0; 101]));
        assert_eq!(queue.take(), None);
        queue.push(Bytes::from("small"));
        assert_eq!(queue.next().await, (Bytes::from("small"), 9));
    }
}
