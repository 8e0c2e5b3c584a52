//! A request body that can be sent again, as long as it is short and nobody has answered.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

/// The most that is kept to be sent again, in bytes: enough for a unary call, little enough for each request in flight.
const LIMIT: usize = 64 * 1024;

/// A body that several attempts read one after the other. What an attempt has read is kept for the next one.
#[derive(Debug)]
pub(crate) struct Replay(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    source: Incoming,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// False once the limit is passed, or somebody has answered.
    keeps: bool,
    /// The attempt that may read; the connection of an earlier one may still hold its body.
    attempt: u32,
}

/// The body of one attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    shared: Arc<Mutex<Shared>>,
    number: u32,
    next: usize,
}

/// A later attempt has taken the body over.
#[derive(Debug, thiserror::Error)]
#[error("the request is being sent elsewhere")]
struct Superseded;

impl Replay {
    pub(crate) fn new(source: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Shared { source, kept: Vec::new(), kept_bytes: 0, keeps: true, attempt: 0 })))
    }

    /// The body for the next attempt; `None` once it cannot be sent from its beginning any more.
    pub(crate) fn attempt(&self) -> Option<Attempt> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.keeps {
            return None;
        }
        shared.attempt += 1;
        Some(Attempt { shared: Arc::clone(&self.0), number: shared.attempt, next: 0 })
    }

    /// Stops keeping: an answer has come.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

impl Shared {
    fn forget(&mut self) {
        self.keeps = false;
        self.kept = Vec::new();
    }

    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes += data.len();
        if self.kept_bytes > LIMIT {
            self.forget();
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl Attempt {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.attempt != self.number {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(data) = shared.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let frame = Pin::new(&mut shared.source).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            if let (true, Some(data)) = (shared.keeps, frame.data_ref()) {
                shared.keep(data);
                self.next += 1;
            } else if frame.is_trailers() {
                shared.forget();
            }
        }
        frame.map_err(Into::into)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        self.next >= shared.kept.len() && shared.source.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> http_body::SizeHint {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = shared.kept.iter().skip(self.next).map(Bytes::len).sum();
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        let rest = shared.source.size_hint();
        let mut hint = http_body::SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}
