//! What a request goes through, between its connection and its handler.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use http_body::Body as _;
use samspill_net::drain::DrainWatch;
use tonic::service::Routes;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, Span};

use crate::call::Surroundings;
use crate::contract::{self, ApiRouter, Refused, Versions};
use crate::observe::{self, Observed, Side};
use crate::{Call, Problem};

/// More than this of a request's body is refused, unless the route says otherwise. In bytes; axum's own default, said
/// here because it is promised.
const BODY_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// The router and the gRPC services. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    http: Router,
    grpc: Router,
    versions: Arc<Versions>,
    surroundings: Surroundings,
}

impl App {
    pub(crate) fn new(router: ApiRouter, grpc: Routes, surroundings: Surroundings) -> Self {
        let (http, versions) = router.into_parts();
        Self { http, grpc: grpc.into_axum_router(), versions, surroundings }
    }

    /// The same, with no spans of its requests.
    pub(crate) fn without_spans(mut self) -> Self {
        self.surroundings.has_spans = false;
        self
    }

    /// The same, wrapped in our layers, for a server that can drain.
    pub(crate) fn draining_with(self, drain: &DrainWatch) -> Self {
        let surroundings = Surroundings { drain: Some(drain.clone()), ..self.surroundings };
        // Outermost first. They are inside of the routers, where the matched route is known.
        let http = self.http.layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(surroundings.clone(), observe_http))
                .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
                .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| panicked(&*panic))),
        );
        let grpc = self.grpc.layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(surroundings.clone(), observe_rpc))
                .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| rpc_panicked(&*panic))),
        );
        Self { http: http.with_state(()), grpc: grpc.with_state(()), versions: self.versions, surroundings }
    }

    /// Answers one request.
    pub(super) async fn answer(self, mut request: Request) -> Response {
        let is_rpc = is_grpc(request.headers());
        let is_http2 = request.version() == Version::HTTP_2;
        let drain = self.surroundings.drain;
        let is_draining = || drain.as_ref().is_some_and(DrainWatch::is_draining);
        let answered = match request.uri().path() {
            "/livez" if !is_rpc => Ok(StatusCode::OK.into_response()),
            "/readyz" if !is_rpc && is_draining() => Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()),
            "/readyz" if !is_rpc => Ok(StatusCode::OK.into_response()),
            _ if is_rpc => self.grpc.oneshot(request).await,
            _ => {
                self.versions.dispatch(&mut request);
                self.http.oneshot(request).await
            }
        };
        let mut answer = answered.unwrap_or_else(|never| match never {});
        // The caller must know that this connection ends, or its next request meets the closed one. HTTP/2 has GOAWAY.
        if !is_http2 && is_draining() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// The answer to a request that no handler should see.
pub(super) fn refuse(status: StatusCode, detail: &str, is_rpc: bool) -> Response {
    let problem = Problem::from(status).detail(detail);
    if is_rpc { problem.to_status().into_http() } else { problem.into_response() }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// One SERVER span per request, the [`Call`], and problems with the trace's id.
async fn observe_http(State(surroundings): State<Surroundings>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let span = if surroundings.has_spans { observe::http_server_span(&parts, route) } else { Span::none() };
    let call = Call::of_request(&parts.headers, span.clone(), &surroundings);
    parts.extensions.insert(call.clone());
    // A path that means no operation may still be an ordinary route.
    let is_routed = parts.extensions.get::<MatchedPath>().is_some();
    let refused = parts.extensions.remove::<Refused>().filter(|_| !is_routed);
    let request = Request::from_parts(parts, body);
    let by_header = contract::by_header(&request);

    let response = match refused {
        Some(Refused(problem)) => problem.into_response(),
        None => next.run(request).instrument(span.clone()).await,
    };
    let mut response = complete(response, &call);
    if let Some(by_header) = by_header {
        contract::vary(response.headers_mut(), by_header);
    }
    observe::http_answered(&span, response.status());
    response.map(|body| Body::new(Observed::http(body, span)))
}

/// One SERVER span per RPC, and the [`Call`].
async fn observe_rpc(State(surroundings): State<Surroundings>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // A method of a service that is not here is a stranger's word: no name for a span.
    let is_known = parts.extensions.get::<MatchedPath>().is_some();
    let method = if is_known { parts.uri.path().trim_start_matches('/') } else { "_OTHER" };
    let span = if surroundings.has_spans { observe::rpc_server_span(&parts, method) } else { Span::none() };
    parts.extensions.insert(Call::of_request(&parts.headers, span.clone(), &surroundings));

    let response = next.run(Request::from_parts(parts, body)).instrument(span.clone()).await;
    observe::rpc_ended(&span, Side::Server, response.headers());
    response.map(|body| Body::new(Observed::rpc(body, span, Side::Server)))
}

/// Makes a problem of an error that says nothing (axum's own 404, 405 and 413, or a handler's bare status), and
/// adds the trace to any problem.
fn complete(mut response: Response, call: &Call) -> Response {
    let status = response.status();
    let said = response.extensions_mut().remove::<Problem>();
    let says_nothing = !response.headers().contains_key(header::CONTENT_TYPE) && response.body().is_end_stream();
    let is_error = status.is_client_error() || status.is_server_error();
    let problem = match said {
        Some(problem) if !response.headers().contains_key(header::CONTENT_ENCODING) => problem,
        None if is_error && says_nothing => Problem::from(status),
        _ => return response,
    };
    let problem = match call.trace_id() {
        Some(trace_id) => problem.with_trace_id(trace_id),
        None => problem,
    };
    let (mut parts, _body) = response.into_parts();
    let answer = problem.into_response();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(answer.headers().clone());
    Response::from_parts(parts, answer.into_body())
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    log_panic(panic);
    Problem::from(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

fn rpc_panicked(panic: &(dyn Any + Send)) -> Response {
    log_panic(panic);
    Problem::from(StatusCode::INTERNAL_SERVER_ERROR).to_status().into_http()
}

fn log_panic(panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    tracing::error!(panic = text.unwrap_or("(no message)"), "a handler panicked");
}
