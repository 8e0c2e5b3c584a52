//! The spans of a service: one SERVER span per request, one CLIENT span per call and per database call.
//!
//! Names and attributes are those of the stable HTTP conventions and of RPC in semconv 1.45. No other module makes a span.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use samspill_observability::conventions::attribute;
use samspill_observability::export::SpanSender;
use samspill_observability::span::{SpanKind, SpanRecord};
use samspill_observability::telemetry::{Remote, Span};
use tonic::Code;

/// The span of a request that is served, before its route is known: `GET`.
pub(crate) fn http_server_span<B>(spans: &SpanSender, request: &Request<B>, remote: &Remote) -> Span {
    let method = method_name(request.method());
    remote.span(spans, method, |record| {
        record.set(attribute::HTTP_REQUEST_METHOD, method);
        record.set(attribute::URL_SCHEME, "http");
        record.set(attribute::URL_PATH, request.uri().path());
        record.set_known(attribute::URL_QUERY, request.uri().query());
        called(record, request);
        record.set(attribute::NETWORK_PROTOCOL_VERSION, protocol_version(request.version()));
        record.set_known(attribute::USER_AGENT_ORIGINAL, user_agent(request.headers()));
    })
}

/// Says how a served request was answered, and names its span after its route: `GET /v1/bookings/{id}`. A path that led
/// nowhere is a stranger's word. A 4xx is the caller's failure, not ours.
pub(crate) fn http_answered(span: &Span, method: &Method, route: Option<&str>, status: StatusCode) {
    span.describe(|record| {
        if let Some(route) = route {
            record.name = [method_name(method), " ", route].concat().into();
            record.set(attribute::HTTP_ROUTE, route);
        }
        record.set(attribute::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
        if status.is_server_error() {
            record.fail(status.as_str(), "");
        }
    });
}

/// The span of a gRPC request that is served, before it is known whether its method is there.
pub(crate) fn rpc_server_span<B>(spans: &SpanSender, request: &Request<B>, remote: &Remote) -> Span {
    remote.span(spans, "_OTHER", |record| {
        record.set(attribute::RPC_SYSTEM_NAME, attribute::RPC_SYSTEM_GRPC);
        called(record, request);
    })
}

/// Names the span of an RPC after its method, `craterate.tracking.v1.Tracking/Create`, and says how it ended, if its headers
/// do. No method is a stranger's word.
pub(crate) fn rpc_answered(span: &Span, method: Option<&str>, headers: &HeaderMap) {
    span.describe(|record| {
        match method {
            Some(method) => {
                record.name = method.to_owned().into();
                record.set(attribute::RPC_METHOD, method);
            }
            None => record.set(attribute::RPC_METHOD, "_OTHER"),
        }
        rpc_ended(record, Side::Server, headers);
    });
}

/// The span of an HTTP call to another service: `POST`.
pub(crate) fn http_client_span(parent: &Span, method: &Method, uri: &Uri) -> Span {
    let name = || method_name(method).into();
    parent.child(SpanKind::Client, name, |record| {
        record.set(attribute::HTTP_REQUEST_METHOD, method_name(method));
        record.set(attribute::URL_FULL, uri.to_string().as_str());
        calls(record, uri);
    })
}

/// The span of a gRPC call to another service, named as on the server.
pub(crate) fn rpc_client_span(parent: &Span, uri: &Uri) -> Span {
    let method = uri.path().trim_start_matches('/');
    let name = || method.to_owned().into();
    parent.child(SpanKind::Client, name, |record| {
        record.set(attribute::RPC_SYSTEM_NAME, attribute::RPC_SYSTEM_GRPC);
        record.set(attribute::RPC_METHOD, method);
        calls(record, uri);
    })
}

/// The span of a call to a database: `INSERT bookings`.
pub(crate) fn database_span(parent: &Span, system: &'static str, operation: &str, collection: &str) -> Span {
    let name = || format!("{operation} {collection}").into();
    parent.child(SpanKind::Client, name, |record| {
        record.set(attribute::DB_SYSTEM_NAME, system);
        record.set(attribute::DB_OPERATION_NAME, operation);
        record.set(attribute::DB_COLLECTION_NAME, collection);
    })
}

/// The span of work that no request asked for; the first of its trace.
pub(crate) fn own_span(spans: Option<&SpanSender>, name: &str) -> Span {
    spans.map(|spans| Span::root(spans, SpanKind::Internal, name.to_owned(), |_| {})).unwrap_or_default()
}

/// Says that a span's work failed: why in a word of few values, and in words for people.
pub(crate) fn failed(span: &Span, error_type: &'static str, message: &dyn Display) {
    if !span.is_none() {
        // An error's words are anybody's code: not while the span is locked.
        let message = message.to_string();
        span.describe(|record| record.fail(error_type, message));
    }
}

/// Says how our call was answered. For the one who called, a 4xx is a failure.
pub(crate) fn http_answer_received(span: &Span, status: StatusCode) {
    span.describe(|record| {
        record.set(attribute::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
        if status.is_client_error() || status.is_server_error() {
            record.fail(status.as_str(), "");
        }
    });
}

/// Says how our RPC ended, if the headers of its answer do.
pub(crate) fn rpc_answer_received(span: &Span, headers: &HeaderMap) {
    span.describe(|record| rpc_ended(record, Side::Client, headers));
}

/// Which end of an RPC a span is about: they disagree on what is a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// We serve it.
    Server,
    /// We call it.
    Client,
}

/// Takes how an RPC ended from headers or trailers, if they say it.
fn rpc_ended(record: &mut SpanRecord, side: Side, fields: &HeaderMap) {
    let Some(status) = fields.get("grpc-status") else { return };
    let code = Code::from_bytes(status.as_bytes());
    let name = code_name(code);
    record.set(attribute::RPC_RESPONSE_STATUS_CODE, name);
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
        record.fail(name, "");
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
        let frame = ready!(this.span.in_scope(|| this.inner.poll_frame(context)));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(side), Some(trailers)) = (*this.rpc, frame.trailers_ref()) {
                    this.span.describe(|record| rpc_ended(record, side, trailers));
                }
            }
            Some(Err(error)) => failed(this.span, "body", error),
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
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
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
fn called<B>(record: &mut SpanRecord, request: &Request<B>) {
    match request.uri().authority() {
        Some(authority) => server(record, authority.host(), authority.port_u16()),
        None => {
            let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
            // The gate has seen to it that this is a name or an address, and a port.
            let Some(host) = host else { return };
            match host.rsplit_once(':') {
                Some((name, "")) => server(record, name, None),
                Some((name, port)) if !port.ends_with(']') => server(record, name, port.parse().ok()),
                _ => server(record, host, None),
            }
        }
    }
}

/// The name and port that we call.
fn calls(record: &mut SpanRecord, uri: &Uri) {
    if let Some(authority) = uri.authority() {
        server(record, authority.host(), authority.port_u16());
    }
}

fn server(record: &mut SpanRecord, host: &str, port: Option<u16>) {
    record.set(attribute::SERVER_ADDRESS, host);
    record.set(attribute::SERVER_PORT, port.unwrap_or(80));
}
