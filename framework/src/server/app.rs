//! What a request goes through, between its connection and its handler.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use http_body::Body as _;
use samspill_net::drain::Drain;
use samspill_observability::telemetry::{self, Span};
use tower::Service as _;

use super::body::{Paced, RequestBody};
use super::grpc::{self, DescriptorsError, GrpcServices};
use crate::call::{self, Bounded, Protocol, Refusal, Surroundings};
use crate::contract::{ApiRouter, Versions};
use crate::observe::{self, Observed, Side};
use crate::test::Hop;
use crate::{Call, Problem};

/// The router and the gRPC services. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    http: Router,
    /// The same, for a request of which the route must be known.
    noting_http: Router,
    grpc: Router,
    versions: Arc<Versions>,
    /// Health and reflection, until they are part of `grpc`.
    added: Router,
    surroundings: Surroundings,
    /// What a request goes through on its way from a service of the same process.
    hop: Option<Arc<Hop>>,
}

impl App {
    /// In development it has reflection, if it has descriptors.
    pub(crate) fn new(
        router: ApiRouter,
        grpc: GrpcServices,
        is_development: bool,
        surroundings: Surroundings,
    ) -> Result<Self, DescriptorsError> {
        let (http, versions) = router.into_parts();
        let (grpc, added) = grpc.into_routers(is_development)?;
        Ok(Self { noting_http: http.clone(), http, grpc, versions, added, surroundings, hop: None })
    }

    /// The same, for a connection from a service of the same process.
    pub(super) fn behind(self, hop: Hop) -> Self {
        Self { hop: Some(Arc::new(hop)), ..self }
    }

    /// The same, with no spans of its requests.
    pub(crate) fn without_spans(mut self) -> Self {
        self.surroundings.spans = None;
        self
    }

    /// The same, for a server that can drain.
    pub(crate) fn draining_with(self, drain: &Arc<Drain>) -> Self {
        let surroundings = Surroundings { drain: Some(Arc::clone(drain)), ..self.surroundings };
        // Outside of `serve_rpc`, like `/livez`: whoever asks how a service is makes no span.
        let added = grpc::with_drain(self.added, &drain.watch());
        let grpc = self.grpc.layer(NoteRoute).merge(added);
        Self {
            http: self.http.with_state(()),
            noting_http: self.noting_http.layer(NoteRoute).with_state(()),
            grpc: grpc.with_state(()),
            versions: self.versions,
            added: Router::new(),
            surroundings,
            hop: self.hop,
        }
    }

    /// Answers one request. No `async` function, which would hold the request once more than the one that serves it.
    pub(super) fn answer<B: RequestBody>(&self, request: http::Request<B>) -> impl Future<Output = Response> + Send {
        let is_http2 = request.version() == Version::HTTP_2;
        let answering = match &self.hop {
            // Boxed, because only tests pay for it.
            Some(hop) => Either::Left(Box::pin(self.answer_behind(hop, request))),
            None => Either::Right(self.serve(request)),
        };
        // The caller must know that this connection ends, or its next request meets the closed one. HTTP/2 has GOAWAY.
        answering.map(move |mut answer| {
            let status = answer.status();
            let has_left_http = status == StatusCode::SWITCHING_PROTOCOLS;
            if !is_http2 && !has_left_http && (self.is_draining() || status == StatusCode::REQUEST_TIMEOUT) {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        })
    }

    fn is_draining(&self) -> bool {
        self.surroundings.drain.as_ref().is_some_and(|drain| drain.is_draining())
    }

    async fn answer_behind<B: RequestBody>(&self, hop: &Hop, mut request: http::Request<B>) -> Response {
        match hop.pass(request.headers_mut()).await {
            Some(instead) => instead,
            None => self.serve(request).await,
        }
    }

    fn serve<B: RequestBody>(&self, request: http::Request<B>) -> impl Future<Output = Response> + Send {
        let is_rpc = is_grpc(request.headers());
        let health = match request.uri().path() {
            _ if is_rpc => return Either::Left(self.serve_rpc(request)),
            // Whoever is asked here serves already: before, nobody listens.
            "/livez" | "/startupz" => StatusCode::OK,
            "/readyz" if self.is_draining() => StatusCode::SERVICE_UNAVAILABLE,
            "/readyz" => StatusCode::OK,
            _ => return Either::Right(Either::Left(self.serve_http(request))),
        };
        Either::Right(Either::Right(ready(health.into_response())))
    }

    /// One request: its version, its span, its call, its handler, its answer.
    async fn serve_http<B: RequestBody>(&self, mut request: http::Request<B>) -> Response {
        // Version: a header's form is the path's from here on.
        let stated = self.versions.dispatch(&mut request);

        // Span and call: an unsampled request makes no span, but its log lines name its trace.
        let method = request.method().clone();
        let remote = telemetry::extract(request.headers());
        let spans = self.surroundings.spans.as_ref();
        let span = spans.map_or_else(Span::none, |spans| observe::http_server_span(spans, &request, &remote));
        let (call, refusal) =
            Call::of_remote(request.headers(), &remote, Protocol::Http, span.clone(), &self.surroundings);
        request.extensions_mut().insert(call.clone());
        let must_note = !span.is_none() || stated.refused.is_some();

        // Handler: whatever ends it, there is an answer.
        let answered = match refusal {
            Some(refusal) => Err(refusal),
            None => {
                let request = request.map(|body| Paced::wrap(body, &call));
                let mut router = if must_note { &self.noting_http } else { &self.http }.clone();
                let handler = pin!(router.call(request));
                call.inside(&span, in_time(&call, caught(handler, panicked))).await
            }
        };
        let route = call.route();
        let answered = match &stated.refused {
            // A path that means no operation may still be an ordinary route.
            Some(problem) if route.is_none() => Ok(problem.clone().into_response()),
            _ => answered,
        };
        let mut response = complete(answered.unwrap_or_else(IntoResponse::into_response), &call);
        let status = response.status();
        let headers = response.headers_mut();
        stated.vary(headers);
        if status == StatusCode::UNAUTHORIZED && self.surroundings.jwt.is_some() {
            // RFC 9110 §11.6.1: a 401 says how to do better.
            headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
        }
        if span.is_none() {
            return response;
        }
        observe::http_answered(&span, &method, route, status);
        response.map(|body| Body::new(Observed::http(body, span)))
    }

    /// The same for one RPC.
    async fn serve_rpc<B: RequestBody>(&self, mut request: http::Request<B>) -> Response {
        let remote = telemetry::extract(request.headers());
        let spans = self.surroundings.spans.as_ref();
        let span = spans.map_or_else(Span::none, |spans| observe::rpc_server_span(spans, &request, &remote));
        let path = (!span.is_none()).then(|| request.uri().path().to_owned());
        let (call, refusal) =
            Call::of_remote(request.headers(), &remote, Protocol::Grpc, span.clone(), &self.surroundings);
        request.extensions_mut().insert(call.clone());

        let answered = match refusal {
            Some(refusal) => Err(refusal),
            None => {
                let mut router = self.grpc.clone();
                let handler = pin!(router.call(request.map(Body::new)));
                call.inside(&span, in_time(&call, caught(handler, rpc_panicked))).await
            }
        };
        let response = answered.unwrap_or_else(|refusal| refusal.problem().to_status().into_http());
        // A method of a service that is not here is a stranger's word: no name for a span.
        let known = path.as_deref().filter(|_| call.route().is_some());
        observe::rpc_answered(&span, known.map(|path| path.trim_start_matches('/')), response.headers());
        match call.deadline() {
            Some(deadline) => response
                .map(|body| Body::new(Observed::rpc(Bounded::new(body, deadline, Side::Server), span, Side::Server))),
            None if !span.is_none() => response.map(|body| Body::new(Observed::rpc(body, span, Side::Server))),
            None => response,
        }
    }
}

/// A handler's answer, or the one to its panic.
async fn caught<E: Into<Infallible>>(
    handler: impl Future<Output = Result<Response, E>>,
    panicked: fn(&(dyn Any + Send)) -> Response,
) -> Response {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never.into() {},
        Err(panic) => panicked(&*panic),
    }
}

/// A layer of the router, which alone knows the route.
#[derive(Clone, Copy, Debug)]
struct NoteRoute;

impl<S> tower::Layer<S> for NoteRoute {
    type Service = NotingRoute<S>;

    fn layer(&self, inner: S) -> NotingRoute<S> {
        NotingRoute(inner)
    }
}

#[derive(Clone, Debug)]
struct NotingRoute<S>(S);

impl<S: tower::Service<Request>> tower::Service<Request> for NotingRoute<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> S::Future {
        if let (Some(call), Some(route)) = (request.extensions().get::<Call>(), request.extensions().get()) {
            call.note_route(route);
        }
        self.0.call(request)
    }
}

/// The answer to a request that no handler should see.
pub(super) fn refuse(status: StatusCode, detail: &str, is_rpc: bool) -> Response {
    let problem = Problem::from(status).detail(detail);
    if is_rpc { problem.to_status().into_http() } else { problem.into_response() }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The handler's answer, unless the deadline comes first. The handler is dropped then.
async fn in_time(call: &Call, handler: impl Future<Output = Response>) -> Result<Response, Refusal> {
    let response = tokio::select! {
        biased;
        response = handler => response,
        () = call::passed(call.deadline()) => return Err(Refusal::DeadlinePassed),
    };
    // Whatever a handler makes of a body that broke off, the reason is known here.
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if call.is_stalled() && is_error { Err(Refusal::BodyStalled) } else { Ok(response) }
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
