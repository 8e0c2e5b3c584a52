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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;

    use super::*;

    /// A body of one frame that never ends.
    fn endless() -> impl Body<Data = Bytes, Error = BoxError> {
        let one = Ok(Frame::data(Bytes::from_static(b"one")));
        StreamBody::new(stream::iter([one]).chain(stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_serves_says_so_in_the_trailers() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let collected = Box::pin(Bounded::new(endless(), deadline, Side::Server)).collect().await.unwrap();
        assert_eq!(Instant::now().duration_since(deadline).as_millis() / 10, 0);
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "4");
        assert_eq!(collected.to_bytes(), "one");
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_is_told_by_an_error() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut body = Box::pin(Bounded::new(endless(), deadline, Side::Client));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.downcast::<Status>().unwrap().code(), Code::DeadlineExceeded);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_always_has_more_ends_too() {
        let frames = stream::repeat_with(|| Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"more"))));
        let paced = frames.then(async |frame| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            frame
        });
        let deadline = Instant::now() + Duration::from_secs(2);
        let bounded = Bounded::new(StreamBody::new(paced), deadline, Side::Server);
        assert!(Box::pin(bounded).collect().await.unwrap().trailers().is_some());
    }
}
