//! A request body that can be sent again, as long as it is short and nobody has answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;

use crate::body::{BoxError, Received};

/// The most that is kept to be sent again, in bytes: enough for a unary call, little enough for each request in flight.
const LIMIT: usize = 64 * 1024;

/// A body that several attempts read one after the other. What an attempt has read is kept for the next one.
#[derive(Debug)]
pub(crate) struct Replay(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    source: Received,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// False once the limit is passed, or somebody has answered.
    keeps: bool,
    /// The attempt that may read; the connection of an earlier one may still hold its body.
    attempt: u32,
    /// Whoever waits for more. A later attempt's wait takes the place of an earlier one's, which must then be told.
    waiting: Option<Waker>,
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
    pub(crate) fn new(source: Received) -> Self {
        let kept = Vec::new();
        Self(Arc::new(Mutex::new(Shared { source, kept, kept_bytes: 0, keeps: true, attempt: 0, waiting: None })))
    }

    /// The body for the next attempt; `None` once it cannot be sent from its beginning any more.
    pub(crate) fn attempt(&self) -> Option<Attempt> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.keeps {
            return None;
        }
        shared.attempt += 1;
        if let Some(superseded) = shared.waiting.take() {
            superseded.wake();
        }
        Some(Attempt { shared: Arc::clone(&self.0), number: shared.attempt, next: 0 })
    }

    /// Stops keeping: an answer has come. What is kept already may still have to be read by the attempt that was answered:
    /// an answer may come before the whole request has been sent.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keeps = false;
    }
}

impl Shared {
    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes += data.len();
        if self.kept_bytes > LIMIT {
            self.keeps = false;
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl Attempt {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.attempt != self.number {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(data) = shared.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        // All that was kept has been read by the one attempt that is left.
        if !shared.keeps {
            shared.kept = Vec::new();
        }
        let frame = shared.source.poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => shared.keeps = false,
            Poll::Ready(Some(Ok(frame))) => {
                if let (true, Some(data)) = (shared.keeps, frame.data_ref()) {
                    shared.keep(data);
                    self.next = shared.kept.len();
                }
            }
            Poll::Ready(_) => {}
            Poll::Pending => match &mut shared.waiting {
                Some(waiting) => waiting.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            },
        }
        frame
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // A superseded attempt must break off, not end.
        shared.attempt == self.number && self.next >= shared.kept.len() && shared.source.is_end_stream()
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response, Version};
    use http_body_util::{BodyExt as _, Empty};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc;

    use super::*;
    use crate::Body;

    /// The body of a request, which arrives as it is written to the pipe.
    async fn request(length: usize) -> (DuplexStream, Received) {
        let (mut client, server) = duplex(1 << 20);
        let (sender, mut bodies) = mpsc::unbounded_channel();
        let service = service_fn(move |request: Request<Incoming>| {
            sender.send(request.into_body()).unwrap();
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        samspill_net::task::spawn("server", http1::Builder::new().serve_connection(TokioIo::new(server), service));
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        (client, Received::new(bodies.recv().await.unwrap(), Version::HTTP_11))
    }

    async fn data(body: &mut Body) -> Bytes {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn an_answer_in_the_middle_of_a_repetition_loses_nothing() {
        let (mut client, body) = request(9).await;
        let replay = Replay::new(body);
        let mut first = Body::attempt(replay.attempt().unwrap());
        for part in ["abc", "def"] {
            client.write_all(part.as_bytes()).await.unwrap();
            assert_eq!(data(&mut first).await, part);
        }
        let mut second = Body::attempt(replay.attempt().unwrap());
        assert_eq!(data(&mut second).await, "abc");
        replay.release();
        assert!(replay.attempt().is_none());
        assert_eq!(data(&mut second).await, "def");
        client.write_all(b"ghi").await.unwrap();
        assert_eq!(data(&mut second).await, "ghi");
        assert!(second.is_empty(), "it has ended");
        assert!(!first.is_empty(), "what was given up has not");
        assert!(first.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn who_waits_for_more_learns_that_it_was_given_up() {
        let (_client, body) = request(1).await;
        let replay = Replay::new(body);
        let mut first = Body::attempt(replay.attempt().unwrap());
        let (frame, second) = tokio::join!(biased; first.frame(), async { replay.attempt().unwrap() });
        assert!(frame.unwrap().is_err());
        // Its own wait must not be taken away by the second's.
        drop(second);
    }

    #[tokio::test]
    async fn what_is_too_long_is_sent_once() {
        let (mut client, body) = request(LIMIT + 1).await;
        let replay = Replay::new(body);
        client.write_all(&[b'x'; LIMIT + 1]).await.unwrap();
        let body = Body::attempt(replay.attempt().unwrap()).collect().await.unwrap();
        assert_eq!(body.to_bytes().len(), LIMIT + 1);
        assert!(replay.attempt().is_none());
    }
}
