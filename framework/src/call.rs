//! [`Call`]: what a handler knows about the request that it serves, and what every outgoing call needs.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use samspill_model::identity::SpiffeId;
use samspill_net::drain::DrainWatch;
use samspill_observability::context::TraceContext;
use samspill_observability::conventions::header::{BAGGAGE, TRACEPARENT, TRACESTATE};
use samspill_observability::telemetry;
use tokio::time::Instant;
use tracing::Instrument;

use crate::observe;

/// Who called us, as the inbound sidecar proved it: `By=<us>;URI=<them>`. It removes what the caller claimed.
const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// One request, as its handler sees it: its trace, its caller, its deadline. Cheap to clone.
///
/// A handler takes it as an argument and hands it to every call that it makes, so that one request is one trace
/// through all services.
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
#[derive(Clone, Debug)]
pub struct Call(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    span: tracing::Span,
    /// Our own span if it is recorded, else the caller's.
    trace: Option<TraceContext>,
    trace_id: OnceLock<String>,
    /// `traceparent`, `tracestate` and `baggage` as they came.
    carried: HeaderMap,
    peer: Option<SpiffeId>,
    database_system: &'static str,
    drain: Option<DrainWatch>,
}

/// What all calls of one service have in common.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Whether a sidecar stands before us, so that its headers can be believed.
    pub(crate) in_mesh: bool,
    /// `db.system.name` of the service's database.
    pub(crate) database_system: &'static str,
    /// Started when the service drains.
    pub(crate) drain: Option<DrainWatch>,
    /// Whether a request that is served makes a span.
    pub(crate) has_spans: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { in_mesh: false, database_system: "other_sql", drain: None, has_spans: true }
    }
}

impl Call {
    /// The call that a request is. `span` is the span in which it is served.
    pub(crate) fn of_request(headers: &HeaderMap, span: tracing::Span, surroundings: &Surroundings) -> Self {
        let incoming = TraceContext::parse(headers);
        let mut carried = HeaderMap::new();
        // A tracestate belongs to its traceparent (W3C Trace Context §3.3); baggage stands alone.
        let trusted = if incoming.is_some() { &[TRACEPARENT, TRACESTATE, BAGGAGE][..] } else { &[BAGGAGE] };
        for name in trusted {
            for value in headers.get_all(name) {
                carried.append(name, value.clone());
            }
        }
        let peer = if surroundings.in_mesh { peer(headers) } else { None };
        Self::new(span, incoming, carried, peer, surroundings)
    }

    /// The call that begins with ourselves.
    pub(crate) fn of_our_own(span: tracing::Span, surroundings: &Surroundings) -> Self {
        Self::new(span, None, HeaderMap::new(), None, surroundings)
    }

    fn new(
        span: tracing::Span,
        incoming: Option<TraceContext>,
        carried: HeaderMap,
        peer: Option<SpiffeId>,
        surroundings: &Surroundings,
    ) -> Self {
        Self(Arc::new(Inner {
            trace: telemetry::context(&span).or(incoming),
            trace_id: OnceLock::new(),
            span,
            carried,
            peer,
            database_system: surroundings.database_system,
            drain: surroundings.drain.clone(),
        }))
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
            Self::of_request(
                &request.metadata().clone().into_headers(),
                tracing::Span::current(),
                &Surroundings::default(),
            )
        })
    }

    /// The trace that this request is part of: 32 hexadecimal digits, as `samspill trace` takes them.
    pub fn trace_id(&self) -> Option<&str> {
        let trace = self.0.trace.as_ref()?;
        Some(self.0.trace_id.get_or_init(|| trace.trace_id_hex()))
    }

    /// The service that called, as its certificate proved it. None outside of a mesh, whatever the headers claim.
    pub fn peer(&self) -> Option<&SpiffeId> {
        self.0.peer.as_ref()
    }

    /// When the caller stops waiting. None yet: deadlines come with a later version.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Returns when the service has begun to drain. An answer without an end of its own (a stream of events) ends
    /// itself then, or it is cut at the drain's deadline.
    pub async fn draining(&self) {
        match &self.0.drain {
            Some(drain) => drain.started().await,
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
        let span = observe::database_span(&self.0.span, self.0.database_system, operation, collection);
        let outcome = work.instrument(span.clone()).await;
        if let Err(error) = &outcome {
            observe::failed(&span, std::any::type_name::<E>(), &error.to_string());
        }
        outcome
    }

    /// The span in which the request is served.
    pub(crate) fn span(&self) -> &tracing::Span {
        &self.0.span
    }

    /// Writes what the called service needs to know, for a call that is made in `span`.
    pub(crate) fn inject(&self, span: &tracing::Span, headers: &mut HeaderMap) {
        for (name, value) in &self.0.carried {
            headers.append(name, value.clone());
        }
        if let Some(context) = telemetry::context(span).or(self.0.trace) {
            context.inject(headers);
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // A router that is called without our server, as tests do, still has a call.
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self::of_request(&parts.headers, tracing::Span::current(), &Surroundings::default())))
    }
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
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn sent(incoming: &HeaderMap) -> HeaderMap {
        let call = Call::of_request(incoming, tracing::Span::none(), &Surroundings::default());
        let mut sent = HeaderMap::new();
        call.inject(&tracing::Span::none(), &mut sent);
        sent
    }

    #[test]
    fn the_trace_is_passed_on_as_it_came() {
        let incoming = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (BAGGAGE, "user=7")]);
        assert_eq!(sent(&incoming), incoming);
        let call = Call::of_request(&incoming, tracing::Span::none(), &Surroundings::default());
        assert_eq!(call.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
    }

    #[test]
    fn a_malformed_trace_ends_with_its_state_but_not_the_baggage() {
        let incoming = headers(&[(TRACEPARENT, "00-nonsense"), (TRACESTATE, "a=1"), (BAGGAGE, "user=7")]);
        assert_eq!(sent(&incoming), headers(&[(BAGGAGE, "user=7")]));
    }

    #[test]
    fn the_peer_is_believed_only_in_a_mesh_and_only_once() {
        let check = |in_mesh, value: &str, expected: Option<&str>| {
            let surroundings = Surroundings { in_mesh, ..Surroundings::default() };
            let headers = headers(&[(CLIENT_CERTIFICATE, value)]);
            let call = Call::of_request(&headers, tracing::Span::none(), &surroundings);
            assert_eq!(call.peer().map(ToString::to_string).as_deref(), expected, "{value}");
        };
        let booking = "spiffe://samspill.local/ns/default/sa/parcel-booking";
        let good = format!("By=spiffe://samspill.local/ns/default/sa/invoicing;URI={booking}");
        check(true, &good, Some(booking));
        check(true, &format!("By=x;URI=\"{booking}\""), Some(booking));
        check(false, &good, None);
        check(true, &format!("{good},{good}"), None);
        check(true, &format!("URI={booking};URI={booking}"), None);
        check(true, "By=spiffe://samspill.local/ns/default/sa/invoicing", None);
        check(true, "URI=https://example.com", None);
    }
}
