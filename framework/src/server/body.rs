//! [`Paced`]: a request's body that must come at some pace, or the request is answered 408.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::{BODY_BYTES_PER_SECOND, BODY_IDLE_TIMEOUT};
use crate::Call;

/// What a handler that reads the body gets in place of the rest. The server then answers for it.
#[derive(Debug, thiserror::Error)]
#[error("the request's body came too slowly")]
struct Stalled;

/// A request's body as it comes: hyper's, or a test's.
pub(super) trait RequestBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> RequestBody for B {}

pin_project! {
    /// A body whose sender must keep up a pace. Only time in which somebody waits for the body counts: a handler may be as
    /// slow as it likes.
    #[derive(Debug)]
    pub(super) struct Paced<B> {
        #[pin]
        inner: B,
        call: Call,
        pace: Pace,
        // Made when it is first needed: most bodies have come with their head.
        #[pin]
        timer: Option<Sleep>,
    }
}

/// How a body has come so far.
#[derive(Debug, Default)]
struct Pace {
    received_bytes: u64,
    /// How long the handler has waited, up to the last frame.
    waited: Duration,
    /// Since when it waits now.
    waiting_since: Option<Instant>,
    has_stalled: bool,
}

impl<B: RequestBody> Paced<B> {
    /// The body of the request that `call` is.
    pub(super) fn wrap(inner: B, call: &Call) -> Body {
        if inner.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { inner, call: call.clone(), pace: Pace::default(), timer: None })
    }
}

impl<B: RequestBody> http_body::Body for Paced<B> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        if this.pace.has_stalled {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(context) {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            this.pace.received(data.map_or(0, Bytes::len));
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let deadline = this.pace.deadline();
        match this.timer.as_mut().as_pin_mut() {
            Some(timer) if timer.deadline() == deadline => {}
            Some(timer) => timer.reset(deadline),
            None => this.timer.set(Some(sleep_until(deadline))),
        }
        let is_late = this.timer.as_pin_mut().is_some_and(|timer| timer.poll(context).is_ready());
        if !is_late {
            return Poll::Pending;
        }
        this.pace.has_stalled = true;
        this.call.stall();
        Poll::Ready(Some(Err(axum::Error::new(Stalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Pace {
    fn received(&mut self, bytes: usize) {
        self.received_bytes += bytes as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// When the next frame is too late.
    fn deadline(&mut self) -> Instant {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs(self.received_bytes / BODY_BYTES_PER_SECOND);
        let left = (BODY_IDLE_TIMEOUT + earned).saturating_sub(self.waited);
        since + left.min(BODY_IDLE_TIMEOUT)
    }
}
