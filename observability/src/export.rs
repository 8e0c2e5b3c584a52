//! The one way out for spans: a bounded queue, and a thread with a runtime of its own that sends them in batches.
//!
//! The thread is the point: whatever a collector does, no request waits for it, and a service whose only worker is busy
//! (or has ended) can still flush (opentelemetry-rust#2715). Where the collector is away, the batch at hand is sent again
//! until it is back, the queue fills, and what does not fit is dropped and counted.

mod encode;
mod exporter;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use self::exporter::Exporter;
use crate::otlp::{self, EndpointError};
use crate::span::{Attributes, Resource, SpanRecord, Value};

/// Spans that may wait for the exporter. At 1 KiB each a dead collector costs 2 MiB.
pub const QUEUE_SPANS: usize = 2048;

/// Longest text of a name, an attribute or an error, in bytes: a stranger's 60 KiB path must not wait 2,048 times.
pub const TEXT_LIMIT_BYTES: usize = 1024;

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
    let exporter = async move { Exporter::new(&endpoint, resource, queue, flush_requests, shared).run().await };
    let exporter = move || runtime.block_on(exporter);
    std::thread::Builder::new().name("samspill-export".to_owned()).spawn(exporter).map_err(SpawnError::Thread)?;
    Ok(SpanSender { spans, flushes, dropped })
}

/// What waits in the queue: kept as it came, so that the sender's thread does no more than it must.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Record(SpanRecord),
    Service(Box<opentelemetry_sdk::trace::SpanData>),
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
        cut_values(&mut record.attributes);
        for event in &mut record.events {
            cut(&mut event.name);
            cut_values(&mut event.attributes);
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

fn cut_values(attributes: &mut Attributes) {
    for (_, value) in attributes {
        if let Value::Text(text) = value {
            cut(text);
        }
    }
}

#[cfg(test)]
mod tests;
