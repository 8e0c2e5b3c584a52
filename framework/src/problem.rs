//! [`Problem`]: the one shape of an error answer (RFC 9457), and its gRPC twin.

mod grpc;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

pub(crate) use grpc::set_domain;

/// The media type of a problem (RFC 9457 §3).
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error as a caller sees it: `application/problem+json`, or a gRPC status.
///
/// It is meant for callers, so it holds no internal text; what an operator needs goes to the log
/// ([`Problem::internal`] does both). Handlers return it as their error type. The server adds `trace_id`, with which
/// the caller and the operator speak about the same request.
///
/// ```
/// use http::StatusCode;
/// use samspill::Problem;
///
/// let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The parcel cannot be priced")
///     .detail("It is heavier than we carry.")
///     .field("grams", "must be 1 to 31500");
/// assert_eq!(
///     serde_json::to_value(&problem).unwrap(),
///     serde_json::json!({
///         "title": "The parcel cannot be priced",
///         "status": 422,
///         "detail": "It is heavier than we carry.",
///         "errors": [{ "field": "grams", "detail": "must be 1 to 31500" }],
///     }),
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problem(Box<Members>); // boxed, because it is the error of every handler

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Members {
    #[serde(rename = "type", default = "about_blank", skip_serializing_if = "is_about_blank")]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(with = "status_number")]
    status: StatusCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Sent as `Retry-After`, in seconds.
    #[serde(skip)]
    retry_after: Option<Duration>,
    /// The gRPC code, where it is not the nearest to `status`.
    #[serde(skip)]
    code: Option<tonic::Code>,
    /// Extension members (RFC 9457 §3.2).
    #[serde(flatten)]
    extensions: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field of the request: one member of a problem's `errors`.
///
/// ```
/// use samspill::Problem;
///
/// let problem = Problem::from(http::StatusCode::BAD_REQUEST).field("to", "is missing");
/// assert_eq!((problem.errors()[0].field.as_str(), problem.errors()[0].to_string().as_str()), ("to", "to: is missing"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The path to the field, as the caller writes it: `sender.address[0]`.
    pub field: String,
    /// What is wrong with it, or what is expected.
    pub detail: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

fn is_about_blank(kind: &str) -> bool {
    kind == "about:blank"
}

mod status_number {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Problem {
    /// A problem with a status and a short summary that does not change from one occurrence to the next.
    pub fn new(status: StatusCode, title: impl Into<String>) -> Self {
        let title = title.into();
        let (detail, errors, trace_id, code) = (None, Vec::new(), None, None);
        let (kind, retry_after, extensions) = (about_blank(), None, serde_json::Map::new());
        Self(Box::new(Members { kind, title, status, detail, errors, trace_id, retry_after, code, extensions }))
    }

    /// The problem that a bare status is.
    fn of_status(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or("Unknown status"))
    }

    /// A 500 that tells the caller nothing, and the log everything: the error and all its causes.
    ///
    /// ```
    /// use samspill::Problem;
    ///
    /// let failure = std::io::Error::other("the disk at /dev/sda1 is full");
    /// assert!(!Problem::internal(&failure).to_string().contains("sda1"));
    /// ```
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %samspill_observability::chain(error), "a request failed");
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Says what happened this time, and what the caller can do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Names a field of the request and what is wrong with it. May be called once per field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    /// Names the kind of problem by a URI, which programs compare; people read the title.
    ///
    /// `#[derive(ApiError)]` does it for the errors of a contract.
    ///
    /// ```
    /// let problem = samspill::Problem::from(http::StatusCode::CONFLICT).kind("https://craterate.example/id-taken");
    /// assert_eq!(problem.kind_uri(), "https://craterate.example/id-taken");
    /// ```
    #[must_use]
    pub fn kind(mut self, uri: impl Into<String>) -> Self {
        self.0.kind = uri.into();
        self
    }

    /// Says when it is worth another try: the header `Retry-After`.
    ///
    /// ```
    /// use axum::response::IntoResponse;
    /// use samspill::Problem;
    ///
    /// let busy = Problem::from(http::StatusCode::TOO_MANY_REQUESTS).retry_after(std::time::Duration::from_secs(2));
    /// assert_eq!(busy.into_response().headers()["retry-after"], "2");
    /// ```
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a member of this kind of problem (RFC 9457 §3.2), in place of one of the same name.
    ///
    /// ```
    /// use samspill::Problem;
    ///
    /// let problem = Problem::from(http::StatusCode::NOT_FOUND).member("supported", [1, 2]);
    /// assert_eq!(problem.members()["supported"], serde_json::json!([1, 2]));
    /// ```
    #[must_use]
    pub fn member(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.0.extensions.insert(name.into(), value.into());
        self
    }

    /// What was said with [`kind`](Self::kind); `about:blank` if nothing was.
    pub fn kind_uri(&self) -> &str {
        &self.0.kind
    }

    /// What was said with [`member`](Self::member), and whatever else another service's problem has.
    pub fn members(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.0.extensions
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The short summary.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// What was said with [`detail`](Self::detail).
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What was said with [`field`](Self::field), in that order.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The trace in which it happened, once a server has answered with it.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    pub(crate) fn with_trace_id(mut self, trace_id: impl Into<String>) -> Self {
        self.0.trace_id = Some(trace_id.into());
        self
    }

    /// The body: never empty, whatever happens.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("because texts and numbers are always JSON")
    }

    /// Reads another service's problem; the status is the one on the wire, whatever the body says.
    pub(crate) fn from_answer(status: StatusCode, body: &[u8]) -> Self {
        let mut problem = serde_json::from_slice(body).unwrap_or_else(|_not_a_problem| Self::of_status(status));
        problem.0.status = status;
        problem
    }
}

/// The title is the status's own name.
///
/// ```
/// use samspill::Problem;
///
/// assert_eq!(Problem::from(http::StatusCode::NOT_FOUND).title(), "Not Found");
/// ```
impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::of_status(status)
    }
}

/// Not sooner than was said.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.title)?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        self.0.errors.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

/// `sender: is missing`
impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

impl Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.0.status;
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(wait) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        // The server finds it here and says it again with the trace's id.
        response.extensions_mut().insert(self);
        response
    }
}

/// What our caller is told when a service that we need is away or busy: try again later.
pub(crate) fn upstream_unavailable() -> Problem {
    Problem::of_status(StatusCode::SERVICE_UNAVAILABLE).detail("A service that this one needs cannot be reached.")
}

/// What our caller is told when a service that we need did not answer in time.
pub(crate) fn upstream_too_slow() -> Problem {
    Problem::of_status(StatusCode::GATEWAY_TIMEOUT).detail("A service that this one needs did not answer in time.")
}

/// What our caller is told when a service that we need answered with what we cannot use.
pub(crate) fn upstream_failed() -> Problem {
    Problem::of_status(StatusCode::BAD_GATEWAY).detail("A service that this one needs answered with an error.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_on_the_wire_wins_over_the_body() {
        let status = StatusCode::NOT_FOUND;
        let problem = Problem::from_answer(status, br#"{"title":"No such parcel","status":200,"other":[1]}"#);
        assert_eq!((problem.status(), problem.title()), (status, "No such parcel"));
        assert_eq!(Problem::from_answer(status, b"<html>"), Problem::from(status));
    }
}
