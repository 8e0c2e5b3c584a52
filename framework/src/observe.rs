//! The spans of a service: one SERVER span per request, one CLIENT span per call and per database call.
//!
//! Names and attributes are those of the stable HTTP conventions and of RPC in semconv 1.45. No other module makes a span.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use samspill_observability::conventions::attribute;
use samspill_observability::telemetry::{self, Remote};
use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

/// Sets the status of a span to "error", with these words (tracing-opentelemetry's name).
const FAILURE: &str = "otel.status_description";

/// The span of a request that is served, before its route is known: `GET`.
pub(crate) fn http_server_span(request: &Parts, remote: &Remote) -> Span {
    let method = method_name(&request.method);
    let (address, port) = server(request);
    remote.span(|| {
        tracing::info_span!(
            "request",
            otel.name = method,
            otel.kind = "server",
            otel.status_description = Empty,
            { attribute::HTTP_REQUEST_METHOD } = method,
            { attribute::HTTP_ROUTE } = Empty,
            { attribute::URL_SCHEME } = "http",
            { attribute::URL_PATH } = request.uri.path(),
            { attribute::URL_QUERY } = request.uri.query(),
            { attribute::SERVER_ADDRESS } = address,
            { attribute::SERVER_PORT } = port,
            { attribute::NETWORK_PROTOCOL_VERSION } = protocol_version(request.version),
            { attribute::USER_AGENT_ORIGINAL } = user_agent(&request.headers),
            { attribute::HTTP_RESPONSE_STATUS_CODE } = Empty,
            { attribute::ERROR_TYPE } = Empty,
        )
    })
}

/// Names the span of a request after its route: `GET /v1/bookings/{id}`. A path that led nowhere is a stranger's word.
pub(crate) fn http_routed(span: &Span, method: &http::Method, route: Option<&str>) {
    if let Some(route) = route {
        span.record(attribute::HTTP_ROUTE, route);
        telemetry::rename(span, format!("{} {route}", method_name(method)));
    }
}

/// The span of a gRPC request that is served, before it is known whether its method is there.
pub(crate) fn rpc_server_span(request: &Parts, remote: &Remote) -> Span {
    let (address, port) = server(request);
    remote.span(|| {
        tracing::info_span!(
            "request",
            otel.name = "_OTHER",
            otel.kind = "server",
            otel.status_description = Empty,
            { attribute::RPC_SYSTEM_NAME } = attribute::RPC_SYSTEM_GRPC,
            { attribute::RPC_METHOD } = Empty,
            { attribute::SERVER_ADDRESS } = address,
            { attribute::SERVER_PORT } = port,
            { attribute::RPC_RESPONSE_STATUS_CODE } = Empty,
            { attribute::ERROR_TYPE } = Empty,
        )
    })
}

/// Names the span of an RPC after its method: `craterate.tracking.v1.Tracking/Create`; none is a stranger's word.
pub(crate) fn rpc_routed(span: &Span, method: Option<&str>) {
    span.record(attribute::RPC_METHOD, method.unwrap_or("_OTHER"));
    if let Some(method) = method {
        telemetry::rename(span, method.to_owned());
    }
}

/// The span of an HTTP call to another service: `POST`.
pub(crate) fn http_client_span(parent: &Span, method: &http::Method, uri: &http::Uri) -> Span {
    if parent.is_none() {
        return Span::none();
    }
    let method = method_name(method);
    let (address, port) = server_of(uri.authority());
    tracing::info_span!(
        parent: parent,
        "call",
        otel.name = method,
        otel.kind = "client",
        otel.status_description = Empty,
        { attribute::HTTP_REQUEST_METHOD } = method,
        { attribute::URL_FULL } = %uri,
        { attribute::SERVER_ADDRESS } = address,
        { attribute::SERVER_PORT } = port,
        { attribute::HTTP_RESPONSE_STATUS_CODE } = Empty,
        { attribute::ERROR_TYPE } = Empty,
    )
}

/// The span of a gRPC call to another service, named as on the server.
pub(crate) fn rpc_client_span(parent: &Span, uri: &http::Uri) -> Span {
    if parent.is_none() {
        return Span::none();
    }
    let method = uri.path().trim_start_matches('/');
    let (address, port) = server_of(uri.authority());
    tracing::info_span!(
        parent: parent,
        "call",
        otel.name = method,
        otel.kind = "client",
        otel.status_description = Empty,
        { attribute::RPC_SYSTEM_NAME } = attribute::RPC_SYSTEM_GRPC,
        { attribute::RPC_METHOD } = method,
        { attribute::SERVER_ADDRESS } = address,
        { attribute::SERVER_PORT } = port,
        { attribute::RPC_RESPONSE_STATUS_CODE } = Empty,
        { attribute::ERROR_TYPE } = Empty,
    )
}

/// The span of a call to a database: `INSERT bookings`.
pub(crate) fn database_span(parent: &Span, system: &str, operation: &str, collection: &str) -> Span {
    if parent.is_none() {
        return Span::none();
    }
    tracing::info_span!(
        parent: parent,
        "database",
        otel.name = format!("{operation} {collection}"),
        otel.kind = "client",
        otel.status_description = Empty,
        { attribute::DB_SYSTEM_NAME } = system,
        { attribute::DB_OPERATION_NAME } = operation,
        { attribute::DB_COLLECTION_NAME } = collection,
        { attribute::ERROR_TYPE } = Empty,
    )
}

/// The span of work that no request asked for; the first of its trace.
pub(crate) fn own_span(name: &str) -> Span {
    tracing::info_span!(parent: None, "work", otel.name = name, otel.kind = "internal", otel.status_description = Empty)
}

/// Says that a span's work failed: why in a word of few values, and in words for people.
pub(crate) fn failed(span: &Span, error_type: &str, message: &str) {
    span.record(attribute::ERROR_TYPE, error_type);
    span.record(FAILURE, message);
}

/// Says how a served request was answered. A 4xx is the caller's failure, not ours.
pub(crate) fn http_answered(span: &Span, status: StatusCode) {
    span.record(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_server_error() {
        failed(span, status.as_str(), "");
    }
}

/// Says how our call was answered. For the one who called, a 4xx is a failure.
pub(crate) fn http_answer_received(span: &Span, status: StatusCode) {
    span.record(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        failed(span, status.as_str(), "");
    }
}

/// Which end of an RPC a span is about: they disagree on what is a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// We serve it.
    Server,
    /// We call it.
    Client,
}

/// Says how an RPC ended, if these headers or trailers do.
pub(crate) fn rpc_ended(span: &Span, side: Side, fields: &HeaderMap) {
    let Some(status) = fields.get("grpc-status") else { return };
    let code = Code::from_bytes(status.as_bytes());
    let name = code_name(code);
    span.record(attribute::RPC_RESPONSE_STATUS_CODE, name);
    let is_failure = match side {
        Side::Client => code != Code::Ok,
        Side::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
    };
    if is_failure {
        failed(span, name, "");
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

pin_project! {
    /// A body that keeps its span open until it is read or given up, and works inside of it.
    #[derive(Debug)]
    pub(crate) struct Observed<B> {
        #[pin]
        inner: B,
        span: Span,
        rpc: Option<Side>,
    }
}

impl<B> Observed<B> {
    /// The body of an HTTP answer.
    pub(crate) fn http(inner: B, span: Span) -> Self {
        Self { inner, span, rpc: None }
    }

    /// The body of a gRPC answer, whose trailers say how the call ended.
    pub(crate) fn rpc(inner: B, span: Span, side: Side) -> Self {
        Self { inner, span, rpc: Some(side) }
    }
}

impl<B: Body<Data = Bytes>> Body for Observed<B>
where
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let _entered = this.span.enter();
        let frame = ready!(this.inner.poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(side), Some(trailers)) = (*this.rpc, frame.trailers_ref()) {
                    rpc_ended(this.span, side, trailers);
                }
            }
            Some(Err(error)) => failed(this.span, "body", &error.to_string()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The method, or `_OTHER` for one that a stranger invented.
fn method_name(method: &http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH") => known,
        _ => "_OTHER",
    }
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(http::header::USER_AGENT)?.to_str().ok()
}

/// The name and port by which the caller called us.
fn server(request: &Parts) -> (Option<String>, Option<i64>) {
    match request.uri.authority() {
        Some(authority) => server_of(Some(authority)),
        None => {
            let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
            server_of(host.and_then(|host| host.parse().ok()).as_ref())
        }
    }
}

fn server_of(authority: Option<&http::uri::Authority>) -> (Option<String>, Option<i64>) {
    let host = authority.map(|authority| authority.host().to_owned());
    let port = authority.map(|authority| i64::from(authority.port_u16().unwrap_or(80)));
    (host, port)
}
