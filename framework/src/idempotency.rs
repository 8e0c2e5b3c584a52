//! `Idempotency-Key`: a POST that is sent twice is carried out once (draft-ietf-httpapi-idempotency-key-header).
//!
//! A caller whose connection broke does not know whether its request was carried out. With a key of its own choice it may
//! send the request again: the first run's answer is kept, and the repeat gets it.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use axum::{Router, routing::post};
//! use samspill::idempotency::{Idempotency, MemoryStore};
//! use samspill::test;
//!
//! static BOOKED: AtomicU32 = AtomicU32::new(0);
//!
//! async fn book() -> String {
//!     format!("P-{}", BOOKED.fetch_add(1, Ordering::Relaxed))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let router = Router::new().route("/v1/bookings", post(book)).layer(Idempotency::new(MemoryStore::new()));
//! let server = test::Server::start(test::service("parcel-booking", []), router).await;
//! for replayed in [false, true] {
//!     let client = server.client();
//!     let request = client.post(&test::call(), "/v1/bookings").header("idempotency-key", "8e03978e-40d5-43dd");
//!     let answer = request.send().await.unwrap();
//!     assert_eq!(answer.headers().contains_key("idempotency-replayed"), replayed);
//!     assert_eq!(answer.text().await.unwrap(), "P-0");
//! }
//! server.stop().await;
//! # });
//! ```
//!
//! | the request | its answer |
//! |---|---|
//! | the first with its key | the handler's |
//! | a repeat | the first's, with `idempotency-replayed: true` |
//! | a repeat while the first is running | 409 with `retry-after` |
//! | the key with another body or query | 422 |
//! | a key that is not one | 400 |
//!
//! A key belongs to the caller's identity, the method and the path. Callers without an identity share one space of
//! keys, so those should be hard to guess: a UUID.
//!
//! Not kept are the answers that ask for another try: 5xx, 408, 425 and 429. The key is free again then, and also when
//! the handler panics or its caller goes away: the run was cut, and a repeat runs anew. When the whole process dies, its
//! keys are free after [`LEASE`].
//!
//! Request and answer are read whole. So this is no layer for streams, and a body limit that a route raises
//! (`axum::extract::DefaultBodyLimit`) must lie around this layer.

mod memory;
mod store;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use samspill_net::task;
use tokio::time::{Instant, MissedTickBehavior};

pub use memory::{Full, MemoryStore};
pub use store::{AnswerStore, Attempt, Claim, MalformedAnswer, StoredAnswer};

use crate::problem::PROBLEM_JSON;
use crate::{Call, Problem, Subject, extract};

/// The request header.
pub const KEY: HeaderName = samspill_observability::conventions::header::IDEMPOTENCY_KEY;

/// The header of an answer that an earlier request has had before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long a claim holds without being renewed. A run renews its own every 20 s, so this is how long the keys of a
/// process that died are taken.
pub const LEASE: Duration = Duration::from_secs(60);

/// The longest key, in bytes.
const MAX_KEY_LENGTH: usize = 200;

/// More than this of an answer is not kept. In bytes; half of what a request may have.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// A layer for a router or a route; see the [module](self).
#[derive(Debug)]
pub struct Idempotency<S> {
    store: Arc<S>,
    is_required: bool,
}

impl<S: AnswerStore> Idempotency<S> {
    /// A layer that keeps its answers in `store`. GET, PUT, DELETE and requests without a key pass untouched.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), is_required: false }
    }

    /// Refuses a POST or PATCH without a key: 400.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use samspill::idempotency::{Idempotency, MemoryStore};
    ///
    /// let pay = post(async || "paid").layer(Idempotency::new(MemoryStore::new()).required());
    /// let router: Router = Router::new().route("/v1/payments", pay);
    /// ```
    #[must_use]
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

impl<S> Clone for Idempotency<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), is_required: self.is_required }
    }
}

impl<S, Inner> tower::Layer<Inner> for Idempotency<S> {
    type Service = Idempotent<Inner, S>;

    fn layer(&self, inner: Inner) -> Idempotent<Inner, S> {
        Idempotent { inner, layer: self.clone() }
    }
}

/// The service that [`Idempotency`] makes of another.
#[derive(Debug)]
pub struct Idempotent<Inner, S> {
    inner: Inner,
    layer: Idempotency<S>,
}

impl<Inner: Clone, S> Clone for Idempotent<Inner, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<Inner, S> tower::Service<Request> for Idempotent<Inner, S>
where
    Inner: tower::Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
    S: AnswerStore,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that was asked whether it is ready is the one to call.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        Box::pin(async move { Ok(layer.answer(inner, request).await.unwrap_or_else(IntoResponse::into_response)) })
    }
}

impl<S: AnswerStore> Idempotency<S> {
    async fn answer<Inner>(self, mut inner: Inner, request: Request) -> Result<Response, Problem>
    where
        Inner: tower::Service<Request, Response = Response, Error = Infallible>,
    {
        // Whose key is it?
        if !matches!(*request.method(), Method::POST | Method::PATCH) {
            return Ok(run(&mut inner, request).await);
        }
        let Some(key) = key(request.headers())?.map(str::to_owned) else {
            if self.is_required {
                return Err(malformed("is missing"));
            }
            return Ok(run(&mut inner, request).await);
        };
        let (parts, body) = request.into_parts();
        let body = extract::body(Request::from_parts(parts.clone(), body)).await?;
        let attempt = attempt(&key, &parts, &body);

        // May we run it?
        let fingerprint = attempt.fingerprint().to_owned();
        let claimed = Claimed { store: Arc::clone(&self.store), attempt: Some(attempt.clone()) };
        match self.store.claim(&attempt, LEASE).await.map_err(|error| store_failed(&error))? {
            Claim::Granted => {}
            Claim::Taken { fingerprint: other, answer } => {
                claimed.give_up();
                return match answer {
                    _ if other != fingerprint => Err(used_before()),
                    Some(answer) => Ok(replay(answer)),
                    None => Ok(still_running()),
                };
            }
        }

        // Run it, and keep the answer.
        let request = Request::from_parts(parts, Body::from(body));
        let response = tokio::select! {
            response = run(&mut inner, request) => response,
            never = claimed.stay(&attempt) => match never {},
        };
        if asks_for_another_try(response.status()) {
            claimed.release().await;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let read = read(body).await;
        match &read {
            Read::Whole(body) => claimed.keep(&StoredAnswer::new(parts.status, &parts.headers, body.clone())).await,
            Read::TooLarge(_) => {
                tracing::warn!("an answer of more than {ANSWER_LIMIT_BYTES} bytes is not kept for repeats");
                claimed.keep(&not_kept()).await;
            }
            Read::Broken(_) => claimed.release().await,
        }
        Ok(Response::from_parts(parts, read.into_body()))
    }
}

async fn run<Inner>(inner: &mut Inner, request: Request) -> Response
where
    Inner: tower::Service<Request, Response = Response, Error = Infallible>,
{
    inner.call(request).await.unwrap_or_else(|never| match never {})
}

/// The body of an answer, as far as it was read.
enum Read {
    Whole(Bytes),
    /// What was read, and what is still to come.
    TooLarge(Body),
    /// What was read, and the error.
    Broken(Body),
}

async fn read(body: Body) -> Read {
    let mut rest = body.into_data_stream();
    let (mut chunks, mut size) = (Vec::new(), 0);
    while let Some(chunk) = rest.next().await {
        let is_broken = chunk.is_err();
        size += chunk.as_ref().map_or(0, Bytes::len);
        chunks.push(chunk);
        if is_broken {
            return Read::Broken(Body::from_stream(stream::iter(chunks)));
        }
        if size > ANSWER_LIMIT_BYTES {
            return Read::TooLarge(Body::from_stream(stream::iter(chunks).chain(rest)));
        }
    }
    Read::Whole(
        chunks
            .into_iter()
            .flatten()
            .fold(BytesMut::new(), |mut whole, chunk| {
                whole.extend_from_slice(&chunk);
                whole
            })
            .freeze(),
    )
}

impl Read {
    fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) => Body::from(bytes),
            Self::TooLarge(body) | Self::Broken(body) => body,
        }
    }
}

/// The key of a request, opaque; none where the caller sent none.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use samspill::idempotency;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(idempotency::key(&headers), Ok(None));
/// headers.insert(idempotency::KEY, HeaderValue::from_static("8e03978e-40d5"));
/// assert_eq!(idempotency::key(&headers), Ok(Some("8e03978e-40d5")));
/// headers.insert(idempotency::KEY, HeaderValue::from_static("two words"));
/// assert_eq!(idempotency::key(&headers).unwrap_err().status(), 400);
/// ```
///
/// # Errors
/// A 400 that names the header, when it is there more than once, empty, too long or not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_valid = (1..=MAX_KEY_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid && values.next().is_none() {
        return Ok(Some(text));
    }
    Err(malformed(&format!("must be there once, with 1 to {MAX_KEY_LENGTH} visible ASCII characters")))
}

fn attempt(key: &str, parts: &http::request::Parts, body: &[u8]) -> Attempt {
    let call = parts.extensions.get::<Call>();
    let subject = call.and_then(|call| call.principal().subject.as_ref()).map(Subject::id).unwrap_or_default();
    let peer = call.and_then(Call::peer).map(ToString::to_string).unwrap_or_default();
    // A nested router has taken its prefix off.
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
    let whose = [peer.as_str(), subject, parts.method.as_str(), uri.path(), key];
    Attempt::new(whose, uri.query().unwrap_or_default(), body)
}

/// A claim that may be ours: given back when it is dropped.
struct Claimed<S: AnswerStore> {
    store: Arc<S>,
    attempt: Option<Attempt>,
}

impl<S: AnswerStore> Claimed<S> {
    /// Renews the claim for as long as it is polled.
    async fn stay(&self, attempt: &Attempt) -> Infallible {
        let period = LEASE / 3;
        let mut renewal = tokio::time::interval_at(Instant::now() + period, period);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            renewal.tick().await;
            if let Err(error) = self.store.renew(attempt, LEASE).await {
                tracing::warn!(error = %samspill_observability::chain(&error), "cannot renew the claim of a key");
            }
        }
    }

    /// It is somebody else's.
    fn give_up(mut self) {
        self.attempt = None;
    }

    async fn keep(mut self, answer: &StoredAnswer) {
        let Some(attempt) = &self.attempt else { return };
        if let Err(error) = self.store.keep(attempt, answer).await {
            tracing::error!(error = %samspill_observability::chain(&error), "cannot keep an answer for repeats");
        }
        // Kept or not, the request was carried out: until the lease ends, nobody shall run it again.
        self.attempt = None;
    }

    async fn release(mut self) {
        let Some(attempt) = &self.attempt else { return };
        release(&*self.store, attempt).await;
        self.attempt = None;
    }
}

/// A panic, or a caller that is gone.
impl<S: AnswerStore> Drop for Claimed<S> {
    fn drop(&mut self) {
        let Some(attempt) = self.attempt.take() else { return };
        let store = Arc::clone(&self.store);
        if tokio::runtime::Handle::try_current().is_ok() {
            task::spawn("release idempotency key", async move { release(&*store, &attempt).await });
        }
    }
}

async fn release<S: AnswerStore>(store: &S, attempt: &Attempt) {
    if let Err(error) = store.release(attempt).await {
        tracing::warn!(error = %samspill_observability::chain(&error), "a key stays taken until its lease ends");
    }
}

/// Whether the request was not carried out for a reason that passes.
fn asks_for_another_try(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || passing.contains(&status)
}

fn replay(answer: StoredAnswer) -> Response {
    let (status, headers, body) = answer.into_parts();
    let problem =
        (headers.get(header::CONTENT_TYPE) == Some(&PROBLEM_JSON)).then(|| Problem::from_answer(status, &body));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    // The server adds this request's trace to it, not the first one's.
    if let Some(problem) = problem {
        response.extensions_mut().insert(problem);
    }
    response
}

fn still_running() -> Response {
    let problem = Problem::new(StatusCode::CONFLICT, "The first request with this key is still running")
        .detail("Send it again in a second to get its answer.");
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn used_before() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The key was used for another request")
        .detail("A repeat has the same body and query as the first request; a new request needs a new key.")
        .field("Idempotency-Key", "was used with another body or query")
}

pub(crate) fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "The key of the request is not as expected").field("Idempotency-Key", detail)
}

fn not_kept() -> StoredAnswer {
    let problem = Problem::new(StatusCode::CONFLICT, "The answer was not kept")
        .detail("The first request with this key was carried out; its answer cannot be given again.");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, PROBLEM_JSON)]);
    StoredAnswer::new(problem.status(), &headers, Bytes::from(problem.to_json()))
}

/// Without its store no promise can be kept, so the request is not run.
fn store_failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %samspill_observability::chain(error), "cannot ask for the answers to earlier requests");
    Problem::from(StatusCode::SERVICE_UNAVAILABLE).detail("Nothing was done. Try again later.")
}

#[cfg(test)]
mod tests;
