//! The exporter's own thread: collects a batch, sends it until somebody has it, reports to whoever flushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use super::encode::Spans;
use super::{FlushError, Flushed, Outgoing};
use crate::otlp::{Backoff, Collector, Failure};

/// Spans in one request.
pub(super) const BATCH_SPANS: usize = 512;

/// A request of so many bytes takes no further span: half of the 4 MiB that gRPC servers take by default.
const FULL_REQUEST_BYTES: usize = 2 * 1024 * 1024;

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
    queue: mpsc::Receiver<Outgoing>,
    flush_requests: mpsc::UnboundedReceiver<Flushed>,
    dropped: Arc<AtomicU64>,
    /// Whether the log already says that the collector is away.
    is_away: bool,
}

impl Exporter {
    pub(super) fn new(
        endpoint: &Endpoint,
        resource: ResourceMessage,
        queue: mpsc::Receiver<Outgoing>,
        flush_requests: mpsc::UnboundedReceiver<Flushed>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let collector = Collector::new(endpoint);
        let address = endpoint.uri().to_string();
        Self { collector, address, resource, queue, flush_requests, dropped, is_away: false }
    }

    pub(super) async fn run(mut self) {
        loop {
            let mut batch = Vec::with_capacity(BATCH_SPANS);
            match self.collect(&mut batch).await {
                Next::Send => {
                    if let Some((flushed, lost)) = self.deliver(batch).await {
                        self.flush(Vec::new(), flushed, lost).await;
                    }
                }
                Next::Flush(flushed) => self.flush(batch, flushed, 0).await,
                Next::End => {
                    self.deliver_once(batch).await;
                    return;
                }
            }
        }
    }

    /// Waits for a first span, then for others: up to [`LINGER`], or until a batch is full.
    async fn collect(&mut self, batch: &mut Vec<Outgoing>) -> Next {
        tokio::select! {
            biased;
            request = self.flush_requests.recv() => return request.map_or(Next::End, Next::Flush),
            first = self.queue.recv() => match first {
                Some(span) => batch.push(span),
                None => return Next::End,
            }
        }
        let full_at = Instant::now() + LINGER;
        while self.queue.len() + batch.len() < BATCH_SPANS && Instant::now() < full_at {
            tokio::select! {
                request = self.flush_requests.recv() => return request.map_or(Next::End, Next::Flush),
                () = tokio::time::sleep(TICK) => {}
            }
        }
        self.take_waiting(batch);
        Next::Send
    }

    fn take_waiting(&mut self, batch: &mut Vec<Outgoing>) {
        while batch.len() < BATCH_SPANS
            && let Ok(span) = self.queue.try_recv()
        {
            batch.push(span);
        }
    }

    /// Sends a batch until the collector has taken or refused it. A flush that is asked for meanwhile ends the waiting:
    /// the batch is then tried once more. Gives who asked, and how many spans were lost since.
    async fn deliver(&mut self, batch: Vec<Outgoing>) -> Option<(Flushed, u64)> {
        let mut asked: Option<(Flushed, u64)> = None;
        for (request, spans) in self.requests(batch) {
            let mut backoff = Backoff::new();
            loop {
                let failure = match self.attempt(&request, spans).await {
                    Ok(()) => break,
                    Err(failure) => failure,
                };
                if let Some((_, lost)) = &mut asked {
                    *lost += spans;
                }
                match failure {
                    Failure::Refused(_) => break,
                    Failure::Away(_) if asked.is_some() => {
                        self.lose(spans);
                        break;
                    }
                    Failure::Away(_) => {}
                }
                tokio::select! {
                    request = self.flush_requests.recv() => {
                        // Where no sender is left, there is nobody to tell and no reason to wait.
                        asked = Some((request.unwrap_or_else(|| Box::new(|_| {})), 0));
                    }
                    () = tokio::time::sleep(backoff.pause()) => {}
                }
            }
        }
        asked
    }

    /// Sends the batch and all that waits, each once, and reports.
    async fn flush(&mut self, mut batch: Vec<Outgoing>, flushed: Flushed, mut lost: u64) {
        loop {
            self.take_waiting(&mut batch);
            if batch.is_empty() {
                break;
            }
            lost += self.deliver_once(std::mem::take(&mut batch)).await;
        }
        flushed(if lost == 0 { Ok(()) } else { Err(FlushError::Undelivered(lost)) });
    }

    /// Tries a batch once; gives the number of spans that were lost.
    async fn deliver_once(&mut self, batch: Vec<Outgoing>) -> u64 {
        let mut lost = 0;
        for (request, spans) in self.requests(batch) {
            match self.attempt(&request, spans).await {
                Ok(()) => {}
                Err(Failure::Away(_)) => {
                    self.lose(spans);
                    lost += spans;
                }
                Err(Failure::Refused(_)) => lost += spans,
            }
        }
        lost
    }

    /// One attempt, and what the log says of it: once when the collector goes, once when it is back.
    async fn attempt(&mut self, request: &Bytes, spans: u64) -> Result<(), Failure> {
        match self.collector.export(request.clone()).await {
            Ok(rejected) => {
                if std::mem::take(&mut self.is_away) {
                    let dropped = self.dropped.load(Ordering::Relaxed);
                    tracing::info!(collector = self.address, dropped, "the collector of spans is back");
                }
                if rejected > 0 {
                    tracing::warn!(collector = self.address, rejected, "the collector kept only a part of the spans");
                    self.lose(rejected);
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
                tracing::warn!(collector = self.address, spans, %status, "the collector refused spans");
                self.lose(spans);
                Err(Failure::Refused(status))
            }
        }
    }

    fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// The batch as encoded requests, each with its number of spans.
    fn requests(&self, batch: Vec<Outgoing>) -> Vec<(Bytes, u64)> {
        let mut requests = Vec::new();
        let mut waiting = batch.into_iter().peekable();
        while waiting.peek().is_some() {
            let mut spans = Spans::default();
            while spans.len() < FULL_REQUEST_BYTES
                && let Some(span) = waiting.next()
            {
                spans.push(span);
            }
            let count = spans.count;
            requests.push((spans.into_request(&self.resource), count));
        }
        requests
    }
}
