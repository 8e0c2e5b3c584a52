//! [`Call`]: what a handler knows about the request that it serves, and what every outgoing call needs.

mod bounded;
mod deadline;
mod jwt;
mod principal;
mod priority;
mod refusal;

pub(crate) use bounded::Bounded;
pub use jwt::{JwtAlgorithm, JwtError, JwtSettings};
pub use principal::{Principal, Subject};
pub use priority::Priority;
pub(crate) use refusal::Refusal;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath};
use futures_util::FutureExt;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, StatusCode};
use samspill_model::identity::SpiffeId;
use samspill_net::drain::Drain;
use samspill_net::task;
use samspill_observability::context::TraceContext;
use samspill_observability::conventions::header::{
    BAGGAGE, GRPC_TIMEOUT, IDEMPOTENCY_KEY, SAMSPILL_ATTEMPT, SAMSPILL_PRIORITY, SAMSPILL_TIMEOUT, TRACESTATE,
};
use samspill_observability::export::SpanSender;
use samspill_observability::telemetry::{self, Inside, Remote, Span};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::idempotency;
use crate::{Problem, observe};

/// Who called us, as the inbound sidecar proved it: `By=<us>;URI=<them>`. It removes what the caller claimed.
pub(crate) const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// One request, as its handler sees it: its trace, its caller, its deadline. Cheap to clone.
///
/// A handler takes it as an argument and hands it to every call that it makes, so that one request is one trace
/// through all services, ends everywhere at one deadline, and matters everywhere as much.
///
/// ```
/// use axum::{Router, routing::get};
/// use samspill::{Call, Client, Problem};
///
/// async fn price(call: Call, calculator: Client) -> Result<String, Problem> {
///     let answer = calculator.get(&call, "/v1/quote").query(&[("to", "SE"), ("weight_kg", "2.5")]).send().await?;
///     Ok(answer.text().await?)
/// }
///
/// fn router(calculator: Client) -> Router {
///     Router::new().route("/", get(move |call: Call| price(call, calculator.clone())))
/// }
/// ```
///
/// # Deadline
/// The caller says with `samspill-timeout` (gRPC: `grpc-timeout`) how long it waits, the server counts from the request's
/// arrival, and each call made with it is told what is left. At the deadline the handler is dropped and answered for: 504,
/// `DEADLINE_EXCEEDED`. An HTTP answer whose head was sent in time goes on; a gRPC answer ends with its deadline.
///
/// # Cancel safety
/// A handler is dropped at its next `await` when nobody waits for it any more: at the deadline, when the caller closes its
/// HTTP/1 connection (noticed once the request's body has been read), or when it resets its HTTP/2 stream. Calls that the
/// handler was making end the same way. Work that must not end halfway is given to [`detach`](Self::detach).
#[derive(Clone, Debug)]
pub struct Call {
    inner: Arc<Inner>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Inner {
    span: Span,
    /// Our own span if it is recorded, else the caller's.
    trace: Option<TraceContext>,
    trace_id: OnceLock<String>,
    /// `tracestate` and `baggage` as they came.
    carried: HeaderMap,
    principal: Principal,
    priority: Priority,
    attempt: u32,
    idempotency_key: Option<String>,
    /// The request's body came too slowly; set by the body, read by the server.
    is_stalled: AtomicBool,
    /// The route that the request took; set by the router, if it was asked to, and read by the server.
    route: OnceLock<MatchedPath>,
    database_system: &'static str,
    drain: Option<Arc<Drain>>,
}

/// What all calls of one service have in common.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Whether a sidecar stands before us, so that its headers can be believed.
    pub(crate) in_mesh: bool,
    /// `db.system.name` of the service's database.
    pub(crate) database_system: &'static str,
    /// Started when the service drains.
    pub(crate) drain: Option<Arc<Drain>>,
    /// Where the spans of requests go; without it none are made.
    pub(crate) spans: Option<SpanSender>,
    /// Whose bearer tokens count.
    pub(crate) jwt: Option<Arc<JwtSettings>>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { in_mesh: false, database_system: "other_sql", drain: None, spans: None, jwt: None }
    }
}

/// How a request came, which says where its timeout stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

impl Call {
    /// The call that a request is, and why it must not reach its handler, if it must not. `span` is the span in which it
    /// is served.
    pub(crate) fn of_request(
        headers: &HeaderMap,
        protocol: Protocol,
        span: Span,
        surroundings: &Surroundings,
    ) -> (Self, Option<Refusal>) {
        Self::of_remote(headers, &telemetry::extract(headers), protocol, span, surroundings)
    }

    /// The same, where the caller's place in its trace is known already.
    pub(crate) fn of_remote(
        headers: &HeaderMap,
        remote: &Remote,
        protocol: Protocol,
        span: Span,
        surroundings: &Surroundings,
    ) -> (Self, Option<Refusal>) {
        let present = Present::of(headers, protocol);
        let mut refusal = None;
        let deadline = if present.timeout { deadline(headers, protocol) } else { Ok(None) };
        let deadline = deadline.unwrap_or_else(|malformed| {
            refusal = Some(malformed);
            None
        });
        let subject = subject(headers, surroundings).unwrap_or_else(|invalid| {
            refusal = Some(invalid);
            None
        });
        if refusal.is_none() && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            refusal = Some(Refusal::Late);
        }
        let incoming = remote.context();
        let key = if present.idempotency_key { idempotency::key(headers).ok().flatten() } else { None };
        let call = Inner {
            trace: span.place().or(incoming),
            trace_id: OnceLock::new(),
            span,
            carried: if present.carried { carried(headers, incoming.is_some()) } else { HeaderMap::new() },
            principal: Principal { peer: if surroundings.in_mesh { peer(headers) } else { None }, subject },
            priority: if present.priority { Priority::read(headers) } else { Priority::default() },
            attempt: if present.attempt { attempt(headers) } else { 1 },
            idempotency_key: key.map(str::to_owned),
            is_stalled: AtomicBool::new(false),
            route: OnceLock::new(),
            database_system: surroundings.database_system,
            drain: surroundings.drain.clone(),
        };
        (Self { inner: Arc::new(call), deadline }, refusal)
    }

    /// The call of an HTTP request that is being served. A router that is called without our server, as tests do, still has
    /// one.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        let known = extensions.get::<Self>().cloned();
        known.unwrap_or_else(|| Self::of_request(headers, Protocol::Http, Span::current(), &Surroundings::default()).0)
    }

    /// The call that begins with ourselves.
    pub(crate) fn of_our_own(span: Span, surroundings: &Surroundings) -> Self {
        Self::of_request(&HeaderMap::new(), Protocol::Http, span, surroundings).0
    }

    /// The call of a gRPC request, for handlers of tonic services.
    ///
    /// ```
    /// use samspill::Call;
    /// use tonic::{Request, Response, Status};
    ///
    /// async fn get(request: Request<String>) -> Result<Response<String>, Status> {
    ///     let call = Call::from_request(&request);
    ///     Ok(Response::new(format!("{} in trace {:?}", request.get_ref(), call.trace_id())))
    /// }
    /// ```
    pub fn from_request<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| {
            let headers = request.metadata().clone().into_headers();
            Self::of_request(&headers, Protocol::Grpc, Span::current(), &Surroundings::default()).0
        })
    }

    /// The trace that this request is part of: 32 hexadecimal digits, as `samspill trace` takes them.
    pub fn trace_id(&self) -> Option<&str> {
        let trace = self.inner.trace.as_ref()?;
        Some(self.inner.trace_id.get_or_init(|| trace.trace_id_hex()))
    }

    /// The service that called, as its certificate proved it. None outside of a mesh, whatever the headers claim.
    pub fn peer(&self) -> Option<&SpiffeId> {
        self.inner.principal.peer.as_ref()
    }

    /// For whom the call is made: the service that called, and the subject of its bearer token.
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }

    /// Whom the request's bearer token names, for a handler that serves nobody else.
    ///
    /// ```
    /// use samspill::{Call, Problem};
    ///
    /// async fn my_parcels(call: Call) -> Result<String, Problem> {
    ///     let customer = call.require_subject()?;
    ///     Ok(format!("Parcels of {}", customer.id()))
    /// }
    /// # assert_eq!(samspill::test::call().require_subject().unwrap_err().status(), 401);
    /// ```
    ///
    /// # Errors
    /// A 401, if there was no token. A token that does not count never gets this far: the server refuses it.
    pub fn require_subject(&self) -> Result<&Subject, Problem> {
        self.inner.principal.subject.as_ref().ok_or_else(|| {
            Problem::from(StatusCode::UNAUTHORIZED).detail("Send a bearer token in the Authorization header.")
        })
    }

    /// When the caller stops waiting; none if it has not said so.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The same call, for work that may take only so long: the earlier of its own deadline and the call's. What is called
    /// with it is given up then, and knows it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use samspill::{Call, CallError, Client};
    ///
    /// async fn hint(call: &Call, statistics: &Client) -> Result<String, CallError> {
    ///     let brief = call.with_timeout(Duration::from_millis(200));
    ///     statistics.get(&brief, "/v1/hint").send().await?.text().await
    /// }
    /// # let call = samspill::test::call();
    /// # let brief = call.with_timeout(Duration::from_secs(1));
    /// # assert!(call.deadline().is_none() && brief.deadline().is_some());
    /// # assert_eq!(brief.with_timeout(Duration::from_secs(9)).deadline(), brief.deadline());
    /// ```
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let deadline = earlier(self.deadline, deadline::after(timeout));
        Self { inner: Arc::clone(&self.inner), deadline }
    }

    /// How much the caller would miss the answer.
    pub fn priority(&self) -> Priority {
        self.inner.priority
    }

    /// The key by which a repeat of this request is recognised (`Idempotency-Key`): 1 to 200 visible ASCII characters. None
    /// if there is none, or something else.
    ///
    /// ```
    /// use samspill::{Call, Problem};
    ///
    /// /// A booking's id is its key, so a repeat books nothing twice.
    /// async fn book(call: Call) -> Result<String, Problem> {
    ///     Ok(call.idempotency_key().map_or("B-new".to_owned(), |key| format!("B-{key}")))
    /// }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # assert_eq!(runtime.block_on(book(samspill::test::call())).unwrap(), "B-new");
    /// ```
    pub fn idempotency_key(&self) -> Option<&str> {
        self.inner.idempotency_key.as_deref()
    }

    /// Which attempt of its caller this is; 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// Does work that goes on when the handler does not: after its answer, or after the caller has gone away or run out of
    /// time. The drain waits for it, until the drain's own deadline.
    ///
    /// The work is part of this call's trace, and is handed the call without its deadline.
    ///
    /// ```
    /// use samspill::{Call, Client, Problem};
    ///
    /// # async fn pay_and_book(call: Call) -> Result<u32, Problem> { assert!(call.deadline().is_none()); Ok(7) }
    /// async fn book(call: Call) -> Result<String, Problem> {
    ///     // Whoever has paid gets the parcel booked, even if they hang up in between.
    ///     let booking = call.detach(|call| pay_and_book(call)).await.map_err(|panic| Problem::internal(&panic))??;
    ///     Ok(format!("Booking {booking}"))
    /// }
    /// # let call = samspill::test::call().with_timeout(std::time::Duration::from_secs(60));
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # assert_eq!(runtime.block_on(book(call)).unwrap(), "Booking 7");
    /// ```
    pub fn detach<W>(&self, work: impl FnOnce(Self) -> W) -> JoinHandle<W::Output>
    where
        W: Future<Output: Send> + Send + 'static,
    {
        let held = self.inner.drain.as_ref().map(|drain| drain.watch());
        let call = Self { inner: Arc::clone(&self.inner), deadline: None };
        let work = work(call).map(move |outcome| {
            drop(held);
            outcome
        });
        task::spawn("detached work", self.inside(&self.inner.span, work))
    }

    /// Returns when the service has begun to drain. An answer without an end of its own (a stream of events) ends
    /// itself then, or it is cut at the drain's deadline.
    ///
    /// ```
    /// /// Looks for work until the service ends.
    /// async fn poll(call: samspill::Call, mut look: impl AsyncFnMut()) {
    ///     loop {
    ///         tokio::select! {
    ///             () = call.draining() => return,
    ///             () = look() => {}
    ///         }
    ///     }
    /// }
    /// # let _ = async || poll(samspill::test::call(), async || {}).await;
    /// ```
    pub async fn draining(&self) {
        match &self.inner.drain {
            Some(drain) => drain.watch().started().await,
            None => std::future::pending().await,
        }
    }

    /// Runs one statement or transaction against a database, in a span of its own: `INSERT bookings`.
    ///
    /// `operation` and `collection` (the table) have few values: no ids, no parameters.
    ///
    /// ```
    /// # async fn insert() -> Result<u64, std::io::Error> { Ok(1) }
    /// # async fn handler(call: samspill::Call) -> Result<(), std::io::Error> {
    /// let rows = call.database("INSERT", "bookings", insert()).await?;
    /// # assert_eq!(rows, 1); Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap()
    /// #     .block_on(handler(samspill::test::call())).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `work`, untouched; the span says that it failed.
    pub async fn database<T, E: std::fmt::Display>(
        &self,
        operation: &str,
        collection: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = observe::database_span(&self.inner.span, self.inner.database_system, operation, collection);
        let outcome = self.inside(&span, work).await;
        if let Err(error) = &outcome {
            observe::failed(&span, std::any::type_name::<E>(), error);
        }
        outcome
    }

    /// The span in which the request is served.
    pub(crate) fn span(&self) -> &Span {
        &self.inner.span
    }

    /// Does work of this call, in a span of its own if that is made: log lines name the trace, and what is made with `tracing`
    /// is below the span.
    pub(crate) fn inside<F: Future>(&self, span: &Span, work: F) -> Inside<F> {
        telemetry::inside(span, self.inner.trace, work)
    }

    /// Writes what the called service needs to know, for a call that is made in `span` and given up at `deadline`.
    pub(crate) fn inject(&self, span: &Span, deadline: Option<Instant>, protocol: Protocol, headers: &mut HeaderMap) {
        for (name, value) in &self.inner.carried {
            headers.append(name, value.clone());
        }
        if let Some(context) = span.place().or(self.inner.trace) {
            context.inject(headers);
        }
        if let Some(deadline) = deadline {
            headers.insert(protocol.timeout_header(), deadline::write(deadline));
        }
        self.inner.priority.write(headers);
    }

    /// Says which route the request took.
    pub(crate) fn note_route(&self, route: &MatchedPath) {
        // It is noted once: a request takes one route.
        let _first = self.inner.route.set(route.clone());
    }

    /// Which route that was.
    pub(crate) fn route(&self) -> Option<&str> {
        self.inner.route.get().map(MatchedPath::as_str)
    }

    /// Says that the request's body came too slowly.
    pub(crate) fn stall(&self) {
        self.inner.is_stalled.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub(crate) fn is_stalled(&self) -> bool {
        self.inner.is_stalled.load(Ordering::Relaxed)
    }
}

impl Protocol {
    fn timeout_header(self) -> HeaderName {
        match self {
            Self::Http => SAMSPILL_TIMEOUT,
            Self::Grpc => GRPC_TIMEOUT,
        }
    }
}

/// The earlier of two deadlines, each of which may not be there.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Returns at the deadline; never, if there is none.
pub(crate) async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// When the sender of these headers stops waiting.
pub(crate) fn deadline(headers: &HeaderMap, protocol: Protocol) -> Result<Option<Instant>, Refusal> {
    let name = protocol.timeout_header();
    match deadline::read(headers, &name) {
        Ok(timeout) => Ok(timeout.and_then(deadline::after)),
        Err(deadline::MalformedTimeout) => Err(Refusal::MalformedTimeout(name)),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers))
    }
}

/// Which of the headers that say something of a call are there. One walk past all names costs less than a search for each of
/// these, most of which are seldom there.
#[expect(clippy::struct_excessive_bools, reason = "each is a header that may be there")]
#[derive(Debug, Default)]
struct Present {
    timeout: bool,
    priority: bool,
    attempt: bool,
    idempotency_key: bool,
    carried: bool,
}

impl Present {
    fn of(headers: &HeaderMap, protocol: Protocol) -> Self {
        let timeout = protocol.timeout_header();
        let mut present = Self::default();
        for name in headers.keys() {
            present.timeout |= *name == timeout;
            present.priority |= *name == SAMSPILL_PRIORITY;
            present.attempt |= *name == SAMSPILL_ATTEMPT;
            present.idempotency_key |= *name == IDEMPOTENCY_KEY;
            present.carried |= *name == TRACESTATE || *name == BAGGAGE;
        }
        present
    }
}

/// What is passed on as it came. A tracestate belongs to its traceparent (W3C Trace Context §3.3); baggage stands alone.
fn carried(headers: &HeaderMap, has_trace: bool) -> HeaderMap {
    let mut carried = HeaderMap::new();
    let trusted = if has_trace { &[TRACESTATE, BAGGAGE][..] } else { &[BAGGAGE] };
    for name in trusted {
        for value in headers.get_all(name) {
            carried.append(name, value.clone());
        }
    }
    carried
}

fn subject(headers: &HeaderMap, surroundings: &Surroundings) -> Result<Option<Subject>, Refusal> {
    let Some(jwt) = &surroundings.jwt else { return Ok(None) };
    jwt.subject(headers).map_err(|error| {
        tracing::debug!(error = %samspill_observability::chain(&error), "a bearer token was refused");
        Refusal::InvalidToken
    })
}

fn attempt(headers: &HeaderMap) -> u32 {
    let value = headers.get(SAMSPILL_ATTEMPT).and_then(|value| value.to_str().ok()?.parse().ok());
    value.filter(|&attempt| attempt > 0).unwrap_or(1)
}

/// The identity in `x-forwarded-client-cert`. Anything but one header with one element is not what a sidecar writes.
fn peer(headers: &HeaderMap) -> Option<SpiffeId> {
    let mut values = headers.get_all(CLIENT_CERTIFICATE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    if text.contains(',') {
        return None;
    }
    let mut identities = text.split(';').filter_map(|pair| pair.trim().strip_prefix("URI="));
    let (Some(identity), None) = (identities.next(), identities.next()) else { return None };
    identity.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests;
