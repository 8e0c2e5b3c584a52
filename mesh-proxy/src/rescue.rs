//! The one place where a failure becomes an answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use samspill_engine::metrics::Metrics;
use samspill_engine::reason::REASON_HEADER;
use samspill_engine::{Body, Failure, Reason};
use samspill_net::gate::Malformed;
use samspill_observability::chain;

/// Answers in the caller's language: `application/problem+json` (RFC 9457), or for gRPC a status without a body. The
/// caller is told the reason; the causes are for the log.
pub(crate) fn answer(failure: &Failure, is_grpc: bool, metrics: &Metrics) -> Response<Body> {
    metrics.failure(failure.reason);
    log(failure);
    let mut response = if is_grpc { grpc(failure) } else { problem(failure, failure.reason.status()) };
    response.headers_mut().insert(REASON_HEADER, HeaderValue::from_static(failure.reason.as_str()));
    response
}

/// Answers what the gate has refused; the gate's status is more precise than the reason's.
pub(crate) fn malformed(malformed: &Malformed, is_grpc: bool, metrics: &Metrics) -> Response<Body> {
    let failure = Failure::new(Reason::Malformed).detail(malformed.detail.clone());
    let mut response = answer(&failure, is_grpc, metrics);
    if !is_grpc {
        *response.body_mut() = problem_body(&failure, malformed.status);
        *response.status_mut() = malformed.status;
    }
    response
}

fn log(failure: &Failure) {
    let causes = chain(failure);
    let detail = failure.detail.as_deref().unwrap_or_default();
    match failure.reason {
        Reason::Malformed | Reason::UnknownService | Reason::NoRoute | Reason::Draining => {
            tracing::debug!(reason = failure.reason.as_str(), detail, "{causes}");
        }
        Reason::DiscoveryUnavailable
        | Reason::NoReadyEndpoint
        | Reason::ConnectFailed
        | Reason::IdentityMismatch
        | Reason::AppUnreachable
        | Reason::UpstreamReset
        | Reason::NotReady => tracing::warn!(reason = failure.reason.as_str(), detail, "{causes}"),
    }
}

fn problem(failure: &Failure, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(problem_body(failure, status));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn problem_body(failure: &Failure, status: StatusCode) -> Body {
    let mut members = serde_json::json!({
        "type": format!("urn:samspill:{}", failure.reason),
        "title": failure.reason.title(),
        "status": status.as_u16(),
    });
    if let Some(detail) = &failure.detail {
        members["detail"] = detail.as_str().into();
    }
    Body::from(Bytes::from(members.to_string()))
}

fn grpc(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(u16::from(failure.reason.grpc_status())));
    headers.insert("grpc-message", HeaderValue::from_static(failure.reason.title()));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn http_is_answered_by_a_problem_and_grpc_by_a_status() {
        let metrics = Metrics::default();
        let failure = Failure::new(Reason::NoReadyEndpoint).detail("invoicing.craterate:80").caused_by("secret");
        let response = answer(&failure, false, &metrics);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[REASON_HEADER], "no-ready-endpoint");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "urn:samspill:no-ready-endpoint");
        assert_eq!(body["detail"], "invoicing.craterate:80");
        assert!(!body.to_string().contains("secret"));

        let response = answer(&failure, true, &metrics);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(metrics.failures().find(|(reason, _)| *reason == Reason::NoReadyEndpoint).unwrap().1, 2);
    }
}
