//! The exporter's own thread: collects a batch, sends it until somebody has it, reports to whoever flushes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use super::encode::Spans;
use super::{FlushError, Flushed, QUEUE_BYTES, Queue};
use crate::otlp::{Backoff, Collector, Failure};

/// So many bytes wait for no others. A request takes all that waits: at most half of the 4 MiB that gRPC servers accept by
/// default.
const ENOUGH_BYTES: usize = QUEUE_BYTES / 8;

/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_millis(200);

/// How often the exporter looks at its queue while it waits for others: it is not woken span by span.
const TICK: Duration = Duration::from_millis(20);

/// What the exporter does next.
enum Next {
    Send,
    Flush(Flushed),
    End,
}

pub(super) struct Exporter {
    collector: Collector,
    address: String,
    resource: ResourceMessage,
    queue: Arc<Queue>,
    /// Kept for its memory, which the queue gets for that of what is taken from it.
    taken: Spans,
    flush_requests: mpsc::UnboundedReceiver<Flushed>,
    /// Whether the log already says that the collector is away.
    is_away: bool,
}

/// A request, and how many spans are in it.
struct Batch {
    request: Bytes,
    spans: u64,
}

impl Exporter {
    pub(super) fn new(
        endpoint: &Endpoint,
        resource: ResourceMessage,
        queue: Arc<Queue>,
        flush_requests: mpsc::UnboundedReceiver<Flushed>,
    ) -> Self {
        let collector = Collector::new(endpoint);
        let address = endpoint.uri().to_string();
        Self { collector, address, resource, queue, taken: Spans::default(), flush_requests, is_away: false }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.wait().await {
                Next::Send => {
                    if let Some((flushed, lost)) = self.deliver().await {
                        self.flush(flushed, lost).await;
                    }
                }
                Next::Flush(flushed) => self.flush(flushed, 0).await,
                Next::End => {
                    self.flush(Box::new(|_| {}), 0).await;
                    return;
                }
            }
        }
    }

    /// Waits for a first span, then for others: up to [`LINGER`], or until there are enough.
    async fn wait(&mut self) -> Next {
        tokio::select! {
            biased;
            request = self.flush_requests.recv() => return request.map_or(Next::End, Next::Flush),
            () = self.queue.arrived.notified() => {}
        }
        let end = Instant::now() + LINGER;
        while self.queue.len() < ENOUGH_BYTES && Instant::now() < end {
            tokio::select! {
                request = self.flush_requests.recv() => return request.map_or(Next::End, Next::Flush),
                () = tokio::time::sleep(TICK) => {}
            }
        }
        Next::Send
    }

    /// All that waits, if anything does.
    fn take(&mut self) -> Option<Batch> {
        self.queue.take(&mut self.taken);
        let spans = self.taken.count;
        (spans > 0).then(|| Batch { request: self.taken.to_request(&self.resource), spans })
    }

    /// Sends what waits until the collector has taken or refused it. A flush that is asked for meanwhile ends the waiting:
    /// it is then tried once more. Gives who asked, and how many spans were lost since.
    async fn deliver(&mut self) -> Option<(Flushed, u64)> {
        let batch = self.take()?;
        let mut backoff = Backoff::new();
        loop {
            if let Ok(()) | Err(Failure::Refused(_)) = self.attempt(&batch).await {
                return None;
            }
            tokio::select! {
                // Where no sender is left, there is nobody to tell and no reason to wait.
                request = self.flush_requests.recv() => {
                    let flushed = request.unwrap_or_else(|| Box::new(|_| {}));
                    return Some((flushed, self.deliver_once(batch).await));
                }
                () = tokio::time::sleep(backoff.pause()) => {}
            }
        }
    }

    /// Sends all that waits, once, and reports. What comes meanwhile is not waited for.
    async fn flush(&mut self, flushed: Flushed, mut lost: u64) {
        if let Some(batch) = self.take() {
            lost += self.deliver_once(batch).await;
        }
        flushed(if lost == 0 { Ok(()) } else { Err(FlushError::Undelivered(lost)) });
    }

    /// Tries a batch once; gives the number of spans that were lost.
    async fn deliver_once(&mut self, batch: Batch) -> u64 {
        match self.attempt(&batch).await {
            Ok(()) => 0,
            Err(Failure::Away(_)) => {
                self.queue.lose(batch.spans);
                batch.spans
            }
            Err(Failure::Refused(_)) => batch.spans,
        }
    }

    /// One attempt, and what the log says of it: once when the collector goes, once when it is back.
    async fn attempt(&mut self, batch: &Batch) -> Result<(), Failure> {
        match self.collector.export(batch.request.clone()).await {
            Ok(rejected) => {
                if std::mem::take(&mut self.is_away) {
                    let dropped = self.queue.dropped.load(Ordering::Relaxed);
                    tracing::info!(collector = self.address, dropped, "the collector of spans is back");
                }
                if rejected > 0 {
                    tracing::warn!(collector = self.address, rejected, "the collector kept only a part of the spans");
                    self.queue.lose(rejected);
                }
                Ok(())
            }
            Err(Failure::Away(status)) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    let reason = status.message();
                    tracing::warn!(
                        collector = self.address,
                        reason,
                        "the collector of spans is away; it is tried again, and requests go on"
                    );
                }
                Err(Failure::Away(status))
            }
            Err(Failure::Refused(status)) => {
                let spans = batch.spans;
                tracing::warn!(collector = self.address, spans, %status, "the collector refused spans");
                self.queue.lose(spans);
                Err(Failure::Refused(status))
            }
        }
    }
}
