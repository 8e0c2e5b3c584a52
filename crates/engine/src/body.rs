//! The one body type of the data path: an enum, so that no request pays for a boxed body.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::endpoint::Return;
use crate::headers::remove_forbidden_trailers;
use crate::replay::Attempt;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A body on its way through the proxy, either direction.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    observer: Option<Box<dyn Observer>>,
}

/// Sees the end of a body: it is dropped when the last frame has been read, or nobody will read on.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Trailers have come, before the end.
    fn trailers(&mut self, trailers: &HeaderMap);

    /// The body has broken off.
    fn failed(&mut self, error: &(dyn Error + Send + Sync + 'static));
}

/// At the edge an attempt is observed, and the request that it is for.
#[derive(Debug)]
struct Both(Box<dyn Observer>, Box<dyn Observer>);

impl Observer for Both {
    fn trailers(&mut self, trailers: &HeaderMap) {
        self.0.trailers(trailers);
        self.1.trailers(trailers);
    }

    fn failed(&mut self, error: &(dyn Error + Send + Sync + 'static)) {
        self.0.failed(error);
        self.1.failed(error);
    }
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Received(Received),
    Attempt(Attempt),
    Upstream(Upstream),
}

/// A message's body as it comes from the network.
#[derive(Debug)]
pub(crate) struct Received {
    incoming: Incoming,
    is_http2: bool,
}

/// The stream was reset in the middle of the body, and nothing was said to be wrong.
#[derive(Debug, thiserror::Error)]
#[error("the body was broken off")]
struct BrokenOff;

impl Received {
    pub(crate) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming, is_http2: version == Version::HTTP_2 }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            // hyper takes a stream that is reset with NO_ERROR for one that has ended. Half a message must not become a
            // whole one here.
            Poll::Ready(None) if self.is_http2 && !self.incoming.is_end_stream() => {
                Poll::Ready(Some(Err(BrokenOff.into())))
            }
            polled => polled.map_err(Into::into),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An answer, and the connection to give back after it.
#[derive(Debug)]
struct Upstream {
    received: Received,
    give_back: Option<Return>,
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Kind::Full(None).into()
    }

    /// A request's, in the version of HTTP that the request came in.
    pub fn received(incoming: Incoming, version: Version) -> Self {
        Kind::Received(Received::new(incoming, version)).into()
    }

    /// Whether it is known to have no bytes and no trailers.
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }

    /// Lets `observer` see the end, after those that were there before.
    #[must_use]
    pub fn observed(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(match self.observer.take() {
            Some(earlier) => Box::new(Both(earlier, observer)),
            None => observer,
        });
        self
    }

    pub(crate) fn attempt(attempt: Attempt) -> Self {
        Kind::Attempt(attempt).into()
    }

    pub(crate) fn upstream(response: Response<Incoming>, give_back: Return) -> Response<Self> {
        let version = response.version();
        response.map(|incoming| {
            let received = Received::new(incoming, version);
            Kind::Upstream(Upstream { received, give_back: Some(give_back) }).into()
        })
    }

    /// The request body as it came, if it still is.
    pub(crate) fn into_received(self) -> Result<Received, Self> {
        match self.kind {
            Kind::Received(received) => Ok(received),
            kind => Err(Self { kind, observer: self.observer }),
        }
    }

    fn end(&mut self) {
        if let Kind::Upstream(upstream) = &mut self.kind {
            upstream.finish();
        }
        self.observer = None;
    }
}

impl Upstream {
    fn finish(&mut self) {
        if let Some(give_back) = self.give_back.take() {
            give_back.finish();
        }
    }
}

impl Drop for Upstream {
    /// hyper does not poll a body of known length past its last byte: the end is then seen here.
    fn drop(&mut self) {
        if self.received.is_end_stream() {
            self.finish();
        }
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, observer: None }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Kind::Full(Some(bytes).filter(|bytes| !bytes.is_empty())).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let polled = match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Received(received) => received.poll_frame(cx),
            Kind::Upstream(upstream) => upstream.received.poll_frame(cx),
            Kind::Attempt(attempt) => attempt.poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                remove_forbidden_trailers(&mut trailers);
                if let Some(observer) = &mut this.observer {
                    observer.trailers(&trailers);
                }
                // Nothing follows trailers, and hyper does not ask.
                this.end();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(observer) = &mut this.observer {
                    observer.failed(error.as_ref());
                }
                this.observer = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Received(received) => received.is_end_stream(),
            Kind::Upstream(upstream) => upstream.received.is_end_stream(),
            Kind::Attempt(attempt) => attempt.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
            }
            Kind::Received(received) => received.size_hint(),
            Kind::Upstream(upstream) => upstream.received.size_hint(),
            Kind::Attempt(attempt) => attempt.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Notes its own end.
    #[derive(Debug)]
    struct Note(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Observer for Note {
        fn trailers(&mut self, _trailers: &HeaderMap) {}

        fn failed(&mut self, _error: &(dyn Error + Send + Sync + 'static)) {}
    }

    impl Drop for Note {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[tokio::test]
    async fn every_observer_sees_the_end_and_none_an_earlier_one() {
        let ended = Arc::default();
        let note = |name| Box::new(Note(name, Arc::clone(&ended)));
        let mut body = Body::from(Bytes::from("x")).observed(note("attempt")).observed(note("request"));
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(ended.lock().unwrap().is_empty());
        assert!(body.frame().await.is_none());
        assert_eq!(*ended.lock().unwrap(), ["attempt", "request"]);
    }
}
