//! What stands behind a sidecar: an HTTP server that remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// What an app takes as a head in HTTP/2, in bytes. hyper's own limit is a quarter of this.
pub(super) const HEAD_BYTES: u32 = 64 * 1024;

pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// An app on a port of its own, in HTTP/1 and HTTP/2.
pub(super) struct App {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// One request, read to its end.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) head: Arc<http::request::Parts>,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl App {
    /// Answers each request when it is complete.
    pub(super) async fn answering(answer: impl Fn(Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::serving(move |seen| std::future::ready(answer(seen)).boxed()).await
    }

    /// Answers each request with its own body.
    pub(super) async fn echo() -> Self {
        Self::answering(|seen| text(seen.body)).await
    }

    /// The same, when the future is ready.
    pub(super) async fn serving(serve: impl Fn(Seen) -> BoxFuture<'static, Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let serve = Arc::new(serve);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
                    async move {
                        let (head, body) = request.into_parts();
                        let whole = body.collect().await?;
                        let trailers = whole.trailers().cloned().unwrap_or_default();
                        let seen = Seen { head: Arc::new(head), body: whole.to_bytes(), trailers };
                        log.lock().unwrap().push(seen.clone());
                        Ok::<_, hyper::Error>(serve(seen).await)
                    }
                });
                tokio::spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().max_header_list_size(HEAD_BYTES);
                    // Sidecars close their connections as they like.
                    drop(builder.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, seen }
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The bodies of every request so far, in order of their text.
    pub(super) fn bodies(&self) -> Vec<Bytes> {
        let mut bodies: Vec<Bytes> = self.seen().into_iter().map(|seen| seen.body).collect();
        bodies.sort_unstable();
        bodies
    }
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// 200 with a body.
pub(super) fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed())
}
