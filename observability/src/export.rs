//! The one way out for spans: a bounded queue, and a thread with a runtime of its own that sends them in batches.
//!
//! The thread is the point: whatever a collector does, no request waits for it, and a service whose only worker is busy
//! (or has ended) can still flush (opentelemetry-rust#2715). Where the collector is away, the batch at hand is sent again
//! until it is back, the queue fills, and what does not fit is dropped and counted.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use crate::otlp::{self, Backoff, Collector, EndpointError, Failure};
use crate::span::{Resource, SpanRecord, Value};

/// Spans that may wait for the exporter. At 1 KiB each a dead collector costs 2 MiB.
pub const QUEUE_SPANS: usize = 2048;

/// Longest text of a name, an attribute or an error, in bytes: a stranger's 60 KiB path must not wait 2,048 times.
pub const TEXT_LIMIT_BYTES: usize = 1024;

/// Spans in one request.
const BATCH_SPANS: usize = 512;

/// Longest request, in bytes: half of the 4 MiB that gRPC servers take by default.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_millis(200);

/// How often the exporter looks at its queue while it waits for others: it is not woken span by span.
const TICK: Duration = Duration::from_millis(20);

/// Why no exporter was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The endpoint is no address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The operating system gave no thread or no event queue.
    #[error("cannot start the thread that exports spans")]
    Thread(#[source] std::io::Error),
}

/// Why a flush is not known to have delivered everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The collector did not take this many spans; they are gone.
    #[error("{0} spans were not taken by the collector")]
    Undelivered(u64),
    /// The collector is slow; what is on its way may still arrive.
    #[error("the collector did not answer in time")]
    TimedOut,
}

/// Starts an exporter that sends to `otlp_endpoint` (`http://127.0.0.1:4317`) in the name of `resource`.
///
/// It ends after the last [`SpanSender`] is dropped and what they sent was tried once more.
///
/// # Errors
/// [`SpawnError::Endpoint`]: bad configuration. That nobody listens there is no error.
pub fn spawn(otlp_endpoint: &str, resource: &Resource) -> Result<SpanSender, SpawnError> {
    let endpoint = otlp::endpoint(otlp_endpoint)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SpawnError::Thread)?;
    let (spans, queue) = mpsc::channel(QUEUE_SPANS);
    let (flushes, flush_requests) = mpsc::unbounded_channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let resource = otlp::resource_message(resource);
    let shared = Arc::clone(&dropped);
    let exporter = move || {
        runtime.block_on(Exporter::new(&endpoint, resource, queue, flush_requests, shared).run());
    };
    std::thread::Builder::new().name("samspill-export".to_owned()).spawn(exporter).map_err(SpawnError::Thread)?;
    Ok(SpanSender { spans, flushes, dropped })
}

/// What waits in the queue: kept as it came, so that the sender's thread does no more than it must.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Record(SpanRecord),
    Service(Box<opentelemetry_sdk::trace::SpanData>),
}

impl Outgoing {
    fn into_message(self) -> Span {
        match self {
            Self::Record(record) => otlp::span_message(record),
            Self::Service(span) => Span::from(*span),
        }
    }
}

/// Called when everything that was sent before has left, or with what went wrong.
type Flushed = Box<dyn FnOnce(Result<(), FlushError>) + Send>;

/// Hands finished spans to the exporter. Cheap to clone.
#[derive(Clone)]
pub struct SpanSender {
    spans: mpsc::Sender<Outgoing>,
    flushes: mpsc::UnboundedSender<Flushed>,
    dropped: Arc<AtomicU64>,
}

impl fmt::Debug for SpanSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanSender").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl SpanSender {
    /// Queues one span. Never waits; where the queue is full the span is dropped and counted.
    pub fn send(&self, mut record: SpanRecord) {
        cut(&mut record.name);
        record.error.iter_mut().for_each(cut);
        for (_, value) in &mut record.attributes {
            if let Value::Text(text) = value {
                cut(text);
            }
        }
        self.queue(Outgoing::Record(record));
    }

    pub(crate) fn queue(&self, span: Outgoing) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that were lost since the start: the queue was full, or the collector refused them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all that was sent before has been delivered. For shutdown: each batch is tried once only.
    ///
    /// # Errors
    /// [`FlushError`]: say it in the log and go on; a collector stops no shutdown.
    pub async fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let (done, answer) = tokio::sync::oneshot::channel();
        self.ask_to_flush(Box::new(move |result| {
            // Nobody waits any more: nothing to tell.
            done.send(result).ok();
        }));
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(FlushError::TimedOut),
        }
    }

    /// [`flush`](Self::flush) for code that is not async: blocks this thread for `timeout` at most.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_blocking(&self, timeout: Duration) -> Result<(), FlushError> {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        self.ask_to_flush(Box::new(move |result| {
            // Nobody waits any more: nothing to tell.
            done.send(result).ok();
        }));
        answer.recv_timeout(timeout).unwrap_or(Err(FlushError::TimedOut))
    }

    /// Where the exporter has ended, the request is dropped, and with it the other end of its answer.
    fn ask_to_flush(&self, flushed: Flushed) {
        drop(self.flushes.send(flushed));
    }
}

/// Cuts an owned text at [`TEXT_LIMIT_BYTES`]; a static one costs nothing however long.
pub(crate) fn cut(text: &mut Cow<'static, str>) {
    if let Cow::Owned(text) = text
        && text.len() > TEXT_LIMIT_BYTES
    {
        text.truncate(text.floor_char_boundary(TEXT_LIMIT_BYTES));
        text.shrink_to_fit();
    }
}

/// What the exporter does next.
enum Next {
    Send,
    Flush(Flushed),
    End,
}

struct Exporter {
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
    fn new(
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

    async fn run(mut self) {
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

    /// The batch as encoded requests of [`BATCH_BYTES`] at most, each with its number of spans.
    fn requests(&self, batch: Vec<Outgoing>) -> Vec<(Bytes, u64)> {
        let mut requests = Vec::new();
        let mut spans = Vec::with_capacity(batch.len());
        let (mut bytes, mut count) = (0, 0);
        for span in batch.into_iter().map(Outgoing::into_message) {
            let length = span.encoded_len();
            if bytes + length > BATCH_BYTES && count > 0 {
                requests.push((otlp::encode_request(&self.resource, std::mem::take(&mut spans)), count));
                (bytes, count) = (0, 0);
            }
            bytes += length;
            count += 1;
            spans.push(span);
        }
        if count > 0 {
            requests.push((otlp::encode_request(&self.resource, spans), count));
        }
        requests
    }
}

#[cfg(test)]
mod tests;
