//! Every name under which something is shown: headers, attributes, metrics. Nobody else spells one.
//!
//! Attribute names of HTTP and of the resource are those of the stable semantic conventions; those of RPC are semconv
//! 1.45, written out because the Rust crate is at 1.42 and hides them.

/// Headers that say what a call is part of, and what its caller expects.
pub mod header {
    use http::HeaderName;

    /// Who calls, in which trace (W3C Trace Context §3.2). Read and written by [`crate::context::TraceContext`].
    pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// Vendors' own words about the trace. Passed on untouched.
    pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    /// Users' own words about the request (W3C Baggage). Passed on untouched.
    pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
    /// The edge's answer: which trace this was (W3C Trace Context Level 2 §3.4).
    pub const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

    /// How long the caller of an HTTP request still waits, written as [`GRPC_TIMEOUT`] is: `1500m`. Each hop sends what is
    /// left.
    pub const SAMSPILL_TIMEOUT: HeaderName = HeaderName::from_static("samspill-timeout");
    /// The same of a gRPC call: at most eight digits and a unit, one of `H M S m u n` (gRPC over HTTP/2, "Requests").
    pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
    /// How much the caller would miss an answer: `critical`, `normal` or `background`. The edge removes a stranger's.
    pub const SAMSPILL_PRIORITY: HeaderName = HeaderName::from_static("samspill-priority");
    /// Which attempt this is, a number from 1. Absent on the first. The edge removes a stranger's.
    pub const SAMSPILL_ATTEMPT: HeaderName = HeaderName::from_static("samspill-attempt");
    /// By which a repeat is recognised (draft-ietf-httpapi-idempotency-key-header).
    pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
}

/// Attributes that say who made a span.
pub mod resource {
    /// The workload's name, or `edge`.
    pub const SERVICE_NAME: &str = "service.name";
    /// The workload's namespace.
    pub const SERVICE_NAMESPACE: &str = "service.namespace";
    /// The instance's name, one per running copy.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// The workload's version label.
    pub const SERVICE_VERSION: &str = "service.version";
}

/// Attributes of spans.
pub mod attribute {
    /// Which proxy made the span: [`PROXY_EDGE`], [`PROXY_OUTBOUND`] or [`PROXY_INBOUND`]. An application's spans have none.
    pub const SAMSPILL_PROXY: &str = "samspill.proxy";
    /// Value of [`SAMSPILL_PROXY`]: the edge, where strangers come in.
    pub const PROXY_EDGE: &str = "edge";
    /// Value of [`SAMSPILL_PROXY`]: the sidecar, on the way out of its workload.
    pub const PROXY_OUTBOUND: &str = "outbound";
    /// Value of [`SAMSPILL_PROXY`]: the sidecar, on the way in to its workload.
    pub const PROXY_INBOUND: &str = "inbound";
    /// Why the mesh itself answered, as in `x-samspill-reason`: `no-ready-endpoint`, `connect-failed`, …
    pub const SAMSPILL_REASON: &str = "samspill.reason";
    /// The SPIFFE ID that the other side of the hop proved.
    pub const SAMSPILL_PEER_IDENTITY: &str = "samspill.peer.identity";
    /// The instance behind the endpoint that was called.
    pub const SAMSPILL_UPSTREAM_INSTANCE: &str = "samspill.upstream.instance";

    /// `GET`, `POST`, …; `_OTHER` for a method that HTTP does not know.
    pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
    /// The matched template, `/v1/bookings/{id}`, never the path itself.
    pub const HTTP_ROUTE: &str = "http.route";
    /// The status, a number.
    pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// How often this request was sent before: absent for the first attempt, 1 for the second.
    pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
    /// `http` or `https`, as the caller sees it.
    pub const URL_SCHEME: &str = "url.scheme";
    /// The path, without the query.
    pub const URL_PATH: &str = "url.path";
    /// The query, without `?`.
    pub const URL_QUERY: &str = "url.query";
    /// The whole URL, on client spans.
    pub const URL_FULL: &str = "url.full";
    /// The name that the caller used for the server.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The port that goes with [`SERVER_ADDRESS`], a number.
    pub const SERVER_PORT: &str = "server.port";
    /// The address of the one who began, an IP address.
    pub const CLIENT_ADDRESS: &str = "client.address";
    /// The address of the other end of the connection, an IP address.
    pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// The port that goes with [`NETWORK_PEER_ADDRESS`], a number.
    pub const NETWORK_PEER_PORT: &str = "network.peer.port";
    /// `http`.
    pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
    /// `1.1` or `2`.
    pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
    /// What the caller said that it is.
    pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
    /// What went wrong, of few values: a status (`503`), a reason (`connect-failed`).
    pub const ERROR_TYPE: &str = "error.type";

    /// `grpc`.
    pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
    /// Value of [`RPC_SYSTEM_NAME`].
    pub const RPC_SYSTEM_GRPC: &str = "grpc";
    /// The full method, `craterate.tracking.v1.Tracking/Create`.
    pub const RPC_METHOD: &str = "rpc.method";
    /// The gRPC status by name: `OK`, `UNAVAILABLE`.
    pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";

    /// `sqlite`, `postgresql`.
    pub const DB_SYSTEM_NAME: &str = "db.system.name";
    /// `INSERT`, `SELECT`.
    pub const DB_OPERATION_NAME: &str = "db.operation.name";
    /// The table.
    pub const DB_COLLECTION_NAME: &str = "db.collection.name";
}

/// Metrics of the proxies. The encoder adds `_total` to counters and the unit (`_seconds`) to what has one.
pub mod metric {
    /// Counter: requests answered. Labels: all of [`super::label`] but [`RESULT`](super::label::RESULT).
    pub const REQUESTS: &str = "samspill_requests";
    /// Histogram, seconds: first byte of a request's head to the last of its response.
    pub const REQUEST_DURATION: &str = "samspill_request_duration";
    /// Gauge: requests begun and not ended.
    pub const REQUESTS_IN_FLIGHT: &str = "samspill_requests_in_flight";
    /// Gauge: open connections. Labels: proxy, source, destination.
    pub const CONNECTIONS_OPEN: &str = "samspill_connections_open";
    /// Counter: mutual TLS handshakes; [`RESULT`](super::label::RESULT) says `ok` or why not.
    pub const HANDSHAKES: &str = "samspill_handshakes";
    /// Counter: answers that the proxy made itself. Label: [`REASON`](super::label::REASON).
    pub const FAILURES: &str = "samspill_failures";
    /// Counter: spans that were dropped because the collector was away or slow.
    pub const SPANS_DROPPED: &str = "samspill_spans_dropped";

    /// Upper bounds of the buckets of [`REQUEST_DURATION`], seconds: those that the HTTP conventions advise.
    pub const DURATION_BUCKETS_SECONDS: [f64; 14] =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
}

/// Labels of the proxies' metrics, all of few values.
pub mod label {
    /// `edge`, `outbound` or `inbound`.
    pub const PROXY: &str = "proxy";
    /// The calling workload, `namespace/name`.
    pub const SOURCE: &str = "source";
    /// The called service or workload.
    pub const DESTINATION: &str = "destination";
    /// The HTTP status.
    pub const STATUS: &str = "status";
    /// Why the mesh itself answered; empty when the application did.
    pub const REASON: &str = "reason";
    /// How a handshake ended.
    pub const RESULT: &str = "result";
}
