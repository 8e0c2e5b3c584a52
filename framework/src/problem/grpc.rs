//! A problem as a gRPC status, with the details of Google's richer error model, and the way back.
//!
//! Source: `google/rpc/error_details.proto`, and AIP-193 for what is in an `ErrorInfo`.

use std::collections::HashMap;
use std::sync::OnceLock;

use http::StatusCode;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt};

use super::{
    FieldError, Problem, about_blank, is_about_blank, upstream_failed, upstream_too_slow, upstream_unavailable,
};

/// The most that details may take before they are encoded, in bytes, and a message. Together, in base64 and
/// percent-encoded, they stay below the 8 KiB of trailers that gRPC's C core takes (`GRPC_ARG_MAX_METADATA_SIZE`).
const DETAILS_BYTES: usize = 3 * 1024;
const MESSAGE_BYTES: usize = 768;

/// What one entry of the details takes besides its texts, at most, in bytes.
const ENTRY_BYTES: usize = 8;

/// The longest reason (AIP-193).
const REASON_LENGTH: usize = 63;

/// The entry of an `ErrorInfo` that keeps the whole URI of the kind; the reason is only its last part.
const TYPE: &str = "type";

/// The name of the process's own service.
static DOMAIN: OnceLock<String> = OnceLock::new();

/// Names the service of this process, to be the domain of its errors. The first one counts.
pub(crate) fn set_domain(service: &str) {
    let _is_known = DOMAIN.set(service.to_owned());
}

impl Problem {
    /// Says which gRPC code this is, where the nearest to the HTTP status is not the one that is meant: 409 may be
    /// `ABORTED`, `ALREADY_EXISTS` or `FAILED_PRECONDITION`.
    ///
    /// ```
    /// use http::StatusCode;
    /// use samspill::Problem;
    ///
    /// let problem = Problem::new(StatusCode::CONFLICT, "The id is taken");
    /// assert_eq!(problem.to_status().code(), tonic::Code::Aborted);
    /// assert_eq!(problem.grpc_code(tonic::Code::AlreadyExists).to_status().code(), tonic::Code::AlreadyExists);
    /// ```
    #[must_use]
    pub fn grpc_code(mut self, code: Code) -> Self {
        self.0.code = Some(code);
        self
    }

    /// The same as a gRPC status: the nearest code, and title, detail and fields as its message.
    ///
    /// Programs find the rest in `grpc-status-details-bin`: an `ErrorInfo` if the problem has a
    /// [`kind`](Self::kind), whose reason is the last part of the kind's URI in upper case, whose domain is the
    /// service and whose metadata are the members and the whole URI as `type`; and a `BadRequest` with the fields.
    /// What does not fit into 3 KiB is left out.
    ///
    /// ```
    /// use http::StatusCode;
    /// use samspill::Problem;
    /// use tonic_types::StatusExt;
    ///
    /// let status = Problem::new(StatusCode::NOT_FOUND, "No such parcel")
    ///     .kind("urn:parcel-tracking:unknown-parcel")
    ///     .detail("P-1 is unknown.")
    ///     .to_status();
    /// assert_eq!(status.code(), tonic::Code::NotFound);
    /// assert_eq!(status.message(), "No such parcel: P-1 is unknown.");
    /// assert_eq!(status.get_details_error_info().unwrap().reason, "UNKNOWN_PARCEL");
    /// ```
    pub fn to_status(&self) -> Status {
        let code = self.0.code.unwrap_or_else(|| code_of(self.0.status));
        let message = shortened(self.to_string());
        let mut room = DETAILS_BYTES;
        let mut fits = |a: &str, b: &str| {
            let left = room.checked_sub(a.len() + b.len() + ENTRY_BYTES);
            room = left.unwrap_or(room);
            left.is_some()
        };

        let mut details = ErrorDetails::new();
        if let Some(reason) = reason(&self.0.kind).filter(|_| fits(TYPE, &self.0.kind)) {
            let members = self.0.extensions.iter().map(|(name, value)| (name.clone(), text_of(value)));
            let mut metadata: HashMap<_, _> = members.filter(|(name, text)| fits(name, text)).collect();
            metadata.insert(TYPE.to_owned(), self.0.kind.clone());
            details.set_error_info(reason, DOMAIN.get().map_or("samspill", String::as_str), metadata);
        }
        for FieldError { field, detail } in self.0.errors.iter().filter(|error| fits(&error.field, &error.detail)) {
            details.add_bad_request_violation(field, detail);
        }
        if details.error_info().is_none() && details.bad_request().is_none() {
            return Status::new(code, message); // most: nothing that the message does not say
        }
        Status::with_error_details(code, message, details)
    }

    /// Reads another service's error: the way back from [`to_status`](Self::to_status), for whoever tells one kind of
    /// it from another. What our own caller is told about it is [`Problem::from`].
    ///
    /// Kind, members and fields are as they were; a text that is JSON itself, such as `5`, comes back as what it says.
    /// The HTTP status is the code's own (`google/rpc/code.proto`), so an `INVALID_ARGUMENT` is a 400.
    ///
    /// ```
    /// use http::StatusCode;
    /// use samspill::Problem;
    ///
    /// let status = Problem::new(StatusCode::NOT_FOUND, "No such parcel")
    ///     .kind("urn:parcel-tracking:unknown-parcel")
    ///     .member("searched", 3)
    ///     .to_status();
    /// let problem = Problem::from_status(&status);
    /// assert_eq!(problem.status(), StatusCode::NOT_FOUND);
    /// assert_eq!(problem.kind_uri(), "urn:parcel-tracking:unknown-parcel");
    /// assert_eq!(problem.members()["searched"], 3);
    /// ```
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let mut problem = Self::of_status(status_of(status.code()));
        if code_of(problem.0.status) != status.code() {
            problem.0.code = Some(status.code());
        }
        let violations = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
        for violation in violations {
            problem = problem.field(&violation.field, &violation.description);
        }
        // The message repeats the fields.
        let fields: String = problem.0.errors.iter().map(|error| format!("; {error}")).collect();
        let message = status.message();
        let mut title = message.strip_suffix(&fields).unwrap_or(message);
        if let Some(ErrorInfo { reason, domain, metadata }) = details.error_info() {
            problem.0.kind = metadata.get(TYPE).cloned().unwrap_or_else(|| kind_of(domain, reason));
            let members = metadata.iter().filter(|(name, _)| *name != TYPE);
            problem.0.extensions = members.map(|(name, text)| (name.clone(), value_of(text))).collect();
            // It is ours, so it is `title: detail`.
            if metadata.contains_key(TYPE)
                && let Some((before, detail)) = title.split_once(": ")
            {
                problem.0.detail = Some(detail.to_owned());
                title = before;
            }
        }
        if !title.is_empty() {
            problem.0.title = title.to_owned();
        }
        problem
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        problem.to_status()
    }
}

/// What a caller is told when a service that *we* called by gRPC failed: 503 when it was away or busy, 504 when it was
/// too slow, else 502. Map what means something to your own caller yourself, by its code or by what
/// [`Problem::from_status`] reads.
///
/// ```
/// use samspill::Problem;
///
/// fn parcel(status: tonic::Status) -> Problem {
///     match status.code() {
///         tonic::Code::NotFound => Problem::new(http::StatusCode::NOT_FOUND, "No such parcel"),
///         _ => status.into(),
///     }
/// }
/// assert_eq!(parcel(tonic::Status::not_found("P-1")).status(), 404);
/// assert_eq!(parcel(tonic::Status::unavailable("gone")).status(), 503);
/// assert_eq!(parcel(tonic::Status::invalid_argument("bad")).status(), 502);
/// ```
impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        tracing::warn!(code = ?status.code(), message = status.message(), "a called service failed");
        match status.code() {
            Code::Unavailable | Code::ResourceExhausted => upstream_unavailable(),
            Code::DeadlineExceeded => upstream_too_slow(),
            _ => upstream_failed(),
        }
    }
}

/// The nearest code.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 | 413..=415 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 | 410 => Code::NotFound,
        405 | 501 => Code::Unimplemented,
        409 => Code::Aborted,
        412 | 428 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        408 | 504 => Code::DeadlineExceeded,
        502 | 503 => Code::Unavailable,
        500.. => Code::Internal,
        _ => Code::Unknown,
    }
}

/// The HTTP status of a code, as `google/rpc/code.proto` has it.
fn status_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `UNKNOWN_DESTINATION` of `urn:calculator:unknown-destination`.
fn reason(kind: &str) -> Option<String> {
    let last = kind.rsplit([':', '/', '#']).next().filter(|last| !last.is_empty() && !is_about_blank(kind))?;
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    Some(last.chars().map(letter).take(REASON_LENGTH).collect())
}

/// The kind of an error that did not come from a problem.
fn kind_of(domain: &str, reason: &str) -> String {
    if domain.is_empty() || reason.is_empty() {
        return about_blank();
    }
    format!("urn:{domain}:{}", reason.to_ascii_lowercase().replace('_', "-"))
}

/// A member as metadata: a text as it is, all else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(|value: &Value| !value.is_string()).unwrap_or_else(|| text.into())
}

/// At most [`MESSAGE_BYTES`] of a message.
fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES - '…'.len_utf8()));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KIND: &str = "urn:calculator:unknown-destination";

    fn problem() -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "We do not ship there")
            .kind(KIND)
            .detail("It is too far: we have no ship.")
            .member("country", "XX")
            .member("served", json!(["NO", "SE"]))
            .member("distance_km", 1.5)
            .field("to", "must be one of NO, SE")
            .field("from", "is missing")
    }

    #[test]
    fn codes_say_the_same_to_a_grpc_caller() {
        for (status, code) in [
            (400, Code::InvalidArgument),
            (404, Code::NotFound),
            (409, Code::Aborted),
            (413, Code::InvalidArgument),
            (422, Code::InvalidArgument),
            (429, Code::ResourceExhausted),
            (500, Code::Internal),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::DeadlineExceeded),
            (418, Code::Unknown),
        ] {
            let problem = Problem::from(StatusCode::from_u16(status).unwrap());
            assert_eq!(problem.to_status().code(), code, "{status}");
        }
    }

    #[test]
    fn the_details_are_those_that_other_languages_read() {
        let status = problem().to_status();
        let ErrorInfo { reason, domain, metadata } = status.get_details_error_info().unwrap();
        assert_eq!((reason.as_str(), domain.as_str()), ("UNKNOWN_DESTINATION", "samspill"));
        let expected = [("type", KIND), ("country", "XX"), ("served", r#"["NO","SE"]"#), ("distance_km", "1.5")];
        assert_eq!(metadata, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let violations: Vec<_> = violations.iter().map(|it| (it.field.as_str(), it.description.as_str())).collect();
        assert_eq!(violations, [("to", "must be one of NO, SE"), ("from", "is missing")]);
    }

    #[test]
    fn a_problem_of_no_kind_has_no_reason() {
        assert!(Problem::from(StatusCode::NOT_FOUND).member("supported", [1, 2]).to_status().details().is_empty());
        assert!(Problem::from(StatusCode::NOT_FOUND).kind("https://example.com/").to_status().details().is_empty());
    }

    #[test]
    fn reasons_are_upper_snake_case() {
        for (kind, expected) in [
            ("urn:calculator:unknown-destination", Some("UNKNOWN_DESTINATION")),
            ("https://example.com/problems/out-of-credit", Some("OUT_OF_CREDIT")),
            ("https://example.com/problems#tooHeavy.v2", Some("TOOHEAVY_V2")),
            ("about:blank", None),
            ("urn:calculator:", None),
        ] {
            assert_eq!(reason(kind).as_deref(), expected, "{kind}");
        }
        assert_eq!(reason(&"x".repeat(100)).unwrap().len(), REASON_LENGTH);
    }

    #[test]
    fn a_problem_comes_back_as_it_was() {
        assert_eq!(Problem::from_status(&problem().to_status()), problem());
        let bare = Problem::from(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Problem::from_status(&bare.to_status()), bare);
        let taken = Problem::new(StatusCode::CONFLICT, "The id is taken").grpc_code(Code::AlreadyExists);
        assert_eq!(Problem::from_status(&taken.to_status()), taken);
    }

    #[test]
    fn anybodys_status_is_read() {
        let metadata = HashMap::from([("zone".to_owned(), "a".to_owned())]);
        let details = ErrorDetails::with_error_info("STOCK_OUT", "compute.example.com", metadata);
        let status = Status::with_error_details(Code::ResourceExhausted, "no room: try b", details);
        let problem = Problem::from_status(&status);
        assert_eq!((problem.status(), problem.title()), (StatusCode::TOO_MANY_REQUESTS, "no room: try b"));
        assert_eq!(problem.kind_uri(), "urn:compute.example.com:stock-out");
        assert_eq!(problem.members()["zone"], "a");

        let broken = Status::with_details(Code::Internal, "", bytes::Bytes::from_static(b"\xff\xff"));
        assert_eq!(Problem::from_status(&broken), Problem::from(StatusCode::INTERNAL_SERVER_ERROR));
    }

    #[test]
    fn a_status_fits_into_trailers() {
        let many =
            (0..1000).fold(problem(), |problem, n| problem.field(format!("items[{n}]"), "is ærlig talt not known"));
        let status = many.member("long", "x".repeat(10_000)).to_status();
        let headers = status.into_http::<()>().into_parts().0.headers;
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(bytes < 8 * 1024, "{bytes}");

        let read = Status::from_header_map(&headers).unwrap();
        assert!(read.message().ends_with('…'), "{}", read.message());
        let read = Problem::from_status(&read);
        assert_eq!(
            (read.kind_uri(), &read.members()["country"], read.members().get("long")),
            (KIND, &json!("XX"), None)
        );
        assert!((50..1000).contains(&read.errors().len()), "{}", read.errors().len());
    }
}
