//! [`Bounded`]: the body of a gRPC answer, which ends at the call's deadline at the latest.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::observe::Side;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// A body that is given up at a deadline: the one who serves it says so in its trailers, the one who reads it is told
    /// by an error. Whatever made the body is dropped then.
    #[derive(Debug)]
    pub(crate) struct Bounded<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        deadline: Sleep,
        side: Side,
    }
}

impl<B> Bounded<B> {
    pub(crate) fn new(inner: B, deadline: Instant, side: Side) -> Self {
        Self { inner: Some(inner), deadline: sleep_until(deadline), side }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Bounded<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // The deadline first: a stream that always has something more would never let it come to its turn.
        if this.deadline.poll(context).is_pending() {
            return inner.poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        }
        this.inner.set(None);
        let status = Status::deadline_exceeded("The deadline passed before the answer was complete");
        Poll::Ready(Some(match this.side {
            Side::Client => Err(status.into()),
            Side::Server => trailers(&status).map(Frame::trailers).map_err(Into::into),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new() // it may end sooner than the inner one would
    }
}

fn trailers(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(trailers)
}
