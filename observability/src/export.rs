//! The one way out for spans: a bounded queue, and a thread with a runtime of its own that sends them in batches.
//!
//! The thread is the point: whatever a collector does, no request waits for it, and a service whose only worker is busy
//! (or has ended) can still flush (opentelemetry-rust#2715). Where the collector is away, the batch at hand is sent again
//! until it is back, the queue fills, and what does not fit is dropped and counted.

mod encode;
mod exporter;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span as SpanMessage;
use prost::Message;
use tokio::sync::{Notify, mpsc};

use self::encode::Spans;
use self::exporter::Exporter;
use crate::otlp::{self, EndpointError};
use crate::span::{Resource, SpanRecord};

/// Spans that may wait for the exporter, in bytes: some four thousand. As many are in the request that is being tried.
pub const QUEUE_BYTES: usize = 2 * 1024 * 1024;

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
    let queue = Arc::new(Queue::default());
    let (flushes, flush_requests) = mpsc::unbounded_channel();
    let resource = otlp::resource_message(resource);
    let shared = Arc::clone(&queue);
    let exporter = async move { Exporter::new(&endpoint, resource, shared, flush_requests).run().await };
    let exporter = move || runtime.block_on(exporter);
    std::thread::Builder::new().name("samspill-export".to_owned()).spawn(exporter).map_err(SpawnError::Thread)?;
    Ok(SpanSender { queue, flushes })
}

/// What waits for the exporter, as it is sent: written where the span's own memory is at hand, and freed there.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Spans>,
    /// Told by the first that waits.
    arrived: Notify,
    dropped: AtomicU64,
}

impl Queue {
    /// Adds the span that `write` writes, if there is room for it.
    fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.count == 0;
        let has_room = waiting.push(QUEUE_BYTES, write);
        drop(waiting);
        if !has_room {
            self.lose(1);
        } else if is_first {
            self.arrived.notify_one();
        }
    }

    /// Takes all that waits, and leaves room in its stead.
    fn take(&self, room: &mut Spans) {
        room.clear();
        std::mem::swap(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), room);
    }

    fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

/// Called when everything that was sent before has left, or with what went wrong.
type Flushed = Box<dyn FnOnce(Result<(), FlushError>) + Send>;

/// Hands finished spans to the exporter. Cheap to clone.
#[derive(Clone)]
pub struct SpanSender {
    queue: Arc<Queue>,
    flushes: mpsc::UnboundedSender<Flushed>,
}

impl fmt::Debug for SpanSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanSender").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl SpanSender {
    /// Queues one span. Never waits; where the queue is full the span is dropped and counted.
    pub fn send(&self, record: &SpanRecord) {
        self.queue.push(|out| record.write(out));
    }

    /// The same for a span that the SDK has made.
    pub(crate) fn send_message(&self, message: &SpanMessage) {
        self.queue.push(|out| message.encode_raw(out));
    }

    /// Spans that were lost since the start: the queue was full, or the collector refused them.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests;
