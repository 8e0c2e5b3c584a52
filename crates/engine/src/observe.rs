//! Observes one message exchange: a span if it is sampled, and the counters always.
//!
//! Sampling is decided before anything is made: an unsampled exchange has no span, and its `traceparent` goes through as
//! it came.

use std::borrow::Cow;
use std::error::Error;
use std::net::SocketAddr;

use http::{HeaderMap, Request, Response, Version};
use samspill_net::clock;
use samspill_observability::context::TraceContext;
use samspill_observability::conventions::attribute as name;
use samspill_observability::export::SpanSender;
use samspill_observability::span::{SpanKind, SpanRecord};

use crate::body::{Body, Observer};
use crate::headers::is_grpc;
use crate::metrics::{Counted, Side};
use crate::reason::Failure;

/// The names of the gRPC status codes, by number.
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// One exchange, from the head of its request to the end of its response. Dropped before an answer, it was cancelled.
#[derive(Debug)]
pub struct Observation {
    span: Option<Box<Span>>,
    counted: Counted,
    is_answered: bool,
}

#[derive(Debug)]
struct Span {
    record: SpanRecord,
    sender: SpanSender,
    is_grpc: bool,
}

impl Observation {
    /// Observes a request. `context` is the span's own place in the trace; it is recorded if that is sampled.
    pub fn begin<B>(
        sender: &SpanSender,
        (kind, side): (SpanKind, Side),
        context: &TraceContext,
        parent_span_id: Option<[u8; 8]>,
        request: &Request<B>,
        counted: Counted,
    ) -> Self {
        let span = context.sampled.then(|| {
            let is_grpc = is_grpc(request.headers());
            let record = record(kind, side, context, parent_span_id, request, is_grpc);
            Box::new(Span { record, sender: sender.clone(), is_grpc })
        });
        Self { span, counted, is_answered: false }
    }

    /// Lets `add` say more about the span, if there is one.
    pub fn describe(&mut self, add: impl FnOnce(&mut SpanRecord)) {
        if let Some(span) = &mut self.span {
            add(&mut span.record);
        }
    }

    /// Says by which rule the request was routed: the span of a server is named after it.
    pub fn routed(&mut self, pattern: &str) {
        if let Some(span) = &mut self.span
            && !span.is_grpc
        {
            span.record.name = format!("{} {pattern}", span.record.name).into();
            span.record.set(name::HTTP_ROUTE, pattern);
        }
    }

    /// Says to which service, and where, the request was sent.
    pub fn sent_to(&mut self, service: &str, address: SocketAddr, resend_count: usize) {
        self.describe(|record| {
            record.set(name::SERVER_ADDRESS, service);
            record.set(name::NETWORK_PEER_ADDRESS, address.ip().to_string().as_str());
            record.set(name::NETWORK_PEER_PORT, address.port());
            if resend_count > 0 {
                record.set(name::HTTP_REQUEST_RESEND_COUNT, i64::try_from(resend_count).unwrap_or(i64::MAX));
            }
        });
    }

    /// Takes in the head of the response, and the end of its body when that comes.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        self.is_answered = true;
        self.counted.answered(status);
        if let Some(span) = &mut self.span {
            if span.is_grpc {
                // Trailers-only: the status stands in the head.
                span.grpc_status(response.headers());
            } else {
                span.record.set(name::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
                let is_error = match span.record.kind {
                    SpanKind::Client => status.is_client_error() || status.is_server_error(),
                    SpanKind::Server | SpanKind::Internal => status.is_server_error(),
                };
                if is_error {
                    span.record.fail(status.as_str(), "");
                }
            }
        }
        response.map(|body| body.observed(Box::new(self)))
    }

    /// Says why the answer that follows is the proxy's own.
    pub fn rescued(&mut self, failure: &Failure) {
        if let Some(span) = &mut self.span {
            span.record.set(name::SAMSPILL_REASON, failure.reason.as_str());
            // What the caller has done wrong is no error of the server.
            if failure.reason.status().is_server_error() {
                span.record.fail(failure.reason.as_str(), failure.to_string());
            }
        }
    }

    /// Ends without an answer.
    pub fn failed(mut self, failure: &Failure) {
        self.is_answered = true;
        self.counted.answered(failure.reason.status());
        if let Some(span) = &mut self.span {
            span.record.set(name::SAMSPILL_REASON, failure.reason.as_str());
            span.record.fail(failure.reason.as_str(), failure.reason.title());
        }
    }
}

impl Observer for Observation {
    fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(span) = &mut self.span
            && span.is_grpc
        {
            span.grpc_status(trailers);
        }
    }

    fn failed(&mut self, _error: &(dyn Error + Send + Sync + 'static)) {
        if let Some(span) = &mut self.span {
            span.record.fail("body-broken", "the response broke off");
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            if !self.is_answered {
                span.record.fail("cancelled", "the caller went away");
            }
            span.record.end_unix_nanos = clock::unix_nanos().max(span.record.start_unix_nanos);
            span.sender.send(&span.record);
        }
    }
}

impl Span {
    fn grpc_status(&mut self, fields: &HeaderMap) {
        let Some(code) = fields.get("grpc-status").and_then(|code| code.to_str().ok()) else { return };
        let status = code.parse().ok().and_then(|code: usize| GRPC_STATUS.get(code)).copied().unwrap_or("UNKNOWN");
        self.record.set(name::RPC_RESPONSE_STATUS_CODE, status);
        let is_error = match self.record.kind {
            SpanKind::Client => status != "OK",
            // What the caller has done wrong is no error of the server (RPC semantic conventions, gRPC).
            SpanKind::Server | SpanKind::Internal => matches!(
                status,
                "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS"
            ),
        };
        if is_error {
            self.record.fail(status, "");
        }
    }
}

fn record<B>(
    kind: SpanKind,
    side: Side,
    context: &TraceContext,
    parent_span_id: Option<[u8; 8]>,
    request: &Request<B>,
    is_grpc: bool,
) -> SpanRecord {
    let path = request.uri().path();
    let method = path.strip_prefix('/').filter(|_| is_grpc);
    let span_name: Cow<'static, str> = match method {
        Some(method) => method.to_owned().into(),
        None => request.method().as_str().to_owned().into(),
    };
    let mut record = SpanRecord::new(context, parent_span_id, kind, span_name, clock::unix_nanos());
    record.set(name::SAMSPILL_PROXY, side.as_str());
    match method {
        Some(method) => {
            record.set(name::RPC_SYSTEM_NAME, name::RPC_SYSTEM_GRPC);
            record.set(name::RPC_METHOD, method);
        }
        None => {
            record.set(name::HTTP_REQUEST_METHOD, request.method().as_str());
            record.set(name::URL_PATH, path);
        }
    }
    record.set(name::NETWORK_PROTOCOL_NAME, "http");
    record.set(name::NETWORK_PROTOCOL_VERSION, if request.version() == Version::HTTP_2 { "2" } else { "1.1" });
    record
}
