//! axum's extractors, with one difference: what they refuse is a [`Problem`] that names the field.
//!
//! ```
//! use axum::{Router, routing::post};
//! use samspill::Problem;
//! use samspill::extract::Json;
//!
//! #[derive(serde::Deserialize)]
//! struct Ask { grams: u32 }
//!
//! #[derive(serde::Serialize)]
//! struct Quote { cents: u32 }
//!
//! async fn quote(Json(ask): Json<Ask>) -> Result<Json<Quote>, Problem> {
//!     Ok(Json(Quote { cents: ask.grams / 10 }))
//! }
//! let router: Router = Router::new().route("/v2/quotes", post(quote));
//! ```
//!
//! # Large bodies
//!
//! These extractors, and axum's own `Bytes` and `String`, read at most 2 MiB; more is a 413. A route says otherwise with
//! axum's [`DefaultBodyLimit`](axum::extract::DefaultBodyLimit). What must not be in memory as a whole is taken as a
//! [`Body`](axum::body::Body), which has no limit unless the handler sets one:
//!
//! ```
//! use axum::body::Body;
//! use axum::extract::DefaultBodyLimit;
//! use axum::{Router, routing::post};
//! use futures_util::StreamExt;
//! use http::StatusCode;
//! use samspill::Problem;
//!
//! /// Counts the bytes as they come, and stops where it is too much.
//! async fn count(body: Body) -> Result<String, Problem> {
//!     let (mut bytes, mut chunks) = (0, body.into_data_stream());
//!     while let Some(chunk) = chunks.next().await {
//!         bytes += chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The body ended early"))?.len();
//!         if bytes > 1 << 30 {
//!             return Err(StatusCode::PAYLOAD_TOO_LARGE.into());
//!         }
//!     }
//!     Ok(format!("{bytes} bytes"))
//! }
//!
//! let router: Router = Router::new()
//!     .route("/v1/labels", post(async |label: String| label).layer(DefaultBodyLimit::max(16 << 20)))
//!     .route("/v1/scans", post(count));
//! ```

mod strict;

use std::error::Error;

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::{Problem, idempotency};

/// A JSON body, in or out. In: 415 without a JSON content type, 400 for what is not JSON, 422 for what does not fit
/// the type (the field is named), 413 for more than the limit (2 MiB, or what `axum::extract::DefaultBodyLimit` says).
///
/// The whole body is held to it, parts that the type does not read included: it is UTF-8, is nested 128 levels deep at
/// most, has no `NaN` (all 400), and no object says a name twice (422), not even one that becomes a map: what two readers
/// understand differently is no message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// The query string as a struct; 400 that names the parameter.
///
/// ```
/// use samspill::extract::Query;
///
/// #[derive(serde::Deserialize)]
/// struct Part { limit: Option<u32> }
///
/// async fn parcels(Query(part): Query<Part>) -> String {
///     format!("{} at most", part.limit.unwrap_or(50))
/// }
/// # let _: axum::Router = axum::Router::new().route("/v1/parcels", axum::routing::get(parcels));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

/// The parameters of the path; 400 that names the parameter.
///
/// ```
/// use samspill::extract::Path;
///
/// async fn event(Path((parcel, number)): Path<(String, u64)>) -> String {
///     format!("event {number} of {parcel}")
/// }
/// # let _: axum::Router = axum::Router::new().route("/v1/parcels/{parcel}/events/{number}", axum::routing::get(event));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

/// What an HTML form sends: the query of a GET, the body of anything else. 415 and 422 as for [`Json`].
///
/// ```
/// use samspill::Problem;
/// use samspill::extract::Form;
///
/// #[derive(serde::Deserialize)]
/// struct Ask { to: String }
///
/// // A page that answers a wrong form with a page of its own takes the refusal as a value.
/// async fn quote(form: Result<Form<Ask>, Problem>) -> String {
///     match form {
///         Ok(Form(ask)) => format!("To {}", ask.to),
///         Err(problem) => format!("Please look again: {problem}"),
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(quote));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Form<T>(pub T);

/// An argument whose value keeps its own rules (`garde::Validate`); 422 that names each field that does not.
///
/// garde names a field as Rust does and does not see `#[serde(rename)]`: call it in Rust what callers call it. A `r#type` is
/// called `type` by all.
///
/// ```
/// use garde::Validate;
/// use samspill::extract::{Json, Valid};
///
/// #[derive(serde::Deserialize, Validate)]
/// struct Ask {
///     #[garde(range(min = 1, max = 31_500))]
///     grams: u32,
/// }
///
/// async fn quote(Valid(Json(ask)): Valid<Json<Ask>>) -> String {
///     format!("{} g", ask.grams)
/// }
///
/// let problem = Valid::check(Json(Ask { grams: 0 })).err().unwrap();
/// assert_eq!((problem.status().as_u16(), problem.errors()[0].field.as_str()), (422, "grams"));
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(quote));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Valid<A>(pub A);

impl<A> Valid<A> {
    /// Checks a value's rules.
    ///
    /// # Errors
    /// A 422 that names every field that does not keep them.
    pub fn check<T>(argument: A) -> Result<Self, Problem>
    where
        A: AsRef<T>,
        T: garde::Validate<Context: Default>,
    {
        match argument.as_ref().validate() {
            Ok(()) => Ok(Self(argument)),
            Err(report) => {
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Some fields are wrong");
                // Rust's spelling of a field that is called like a keyword is not the caller's.
                let field = |path: &garde::Path| raw_names_as_written(&path.to_string());
                Err(report.iter().fold(problem, |problem, (path, error)| problem.field(field(path), error.message())))
            }
        }
    }
}

/// A path with `type` for `r#type`. Only a part's beginning can be that; a map's key may have the same letters.
fn raw_names_as_written(path: &str) -> String {
    let parts = path.split('.').map(|part| part.strip_prefix("r#").unwrap_or(part));
    parts.collect::<Vec<_>>().join(".")
}

/// The key by which a repeat of a request is recognised: the header `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header), opaque. 400 where it is missing (take an `Option` where it may be), is there
/// more than once, or is not 1 to 200 visible ASCII characters.
///
/// ```
/// use samspill::extract::IdempotencyKey;
///
/// async fn pay(key: Option<IdempotencyKey>) -> String {
///     key.map_or("once".to_owned(), |IdempotencyKey(key)| format!("for {key}"))
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(pay));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

/// A body that is not looked into; 413 for more than the limit.
///
/// ```
/// use axum::{Router, routing::post};
/// use samspill::extract::Body;
/// use samspill::test;
///
/// async fn scan(Body(bytes): Body) -> String {
///     format!("{} bytes", bytes.len())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let router = Router::new().route("/v1/scans", post(scan));
/// let server = test::Server::start(test::service("parcel-tracking", []), router).await;
/// let answer = server.client().post(&test::call(), "/v1/scans").body("abc").send().await.unwrap();
/// assert_eq!(answer.text().await.unwrap(), "3 bytes");
/// # server.stop().await;
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Body(pub Bytes);

macro_rules! as_ref {
    ($($name:ident),*) => {$(
        impl<T> AsRef<T> for $name<T> {
            fn as_ref(&self) -> &T {
                &self.0
            }
        }
    )*};
}
as_ref!(Json, Query, Path, Form);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    fn from_request(request: Request, _state: &S) -> impl Future<Output = Result<Self, Problem>> {
        let is_json = media_type(request.headers()).is_some_and(is_json);
        let body = body(request);
        async move {
            if !is_json {
                return Err(unsupported("application/json"));
            }
            let bytes = body.await?;
            let text = strict::text(&bytes)?;
            if !strict::is_plain(text) {
                strict::check(text)?;
            }
            serde_json::from_str(text).map(Self).map_err(|_error| misfit::<T>(text))
        }
    }
}

/// What does not fit, and the way to it: that way costs time, which a body that fits need not pay.
#[cold]
fn misfit<T: DeserializeOwned>(text: &str) -> Problem {
    if let Err(problem) = strict::check(text) {
        return problem; // it is not even JSON
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => json_problem(&error),
        // Never: it has just failed.
        Ok(_value) => Problem::from(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let mut response = Response::new(body.into());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query(parts.uri.query()).map(Self)
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) =
            <axum::extract::Path<T> as FromRequestParts<S>>::from_request_parts(parts, state)
                .await
                .map_err(path_problem)?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if request.method() == Method::GET || request.method() == Method::HEAD {
            return query(request.uri().query()).map(Self);
        }
        if !media_type(request.headers()).is_some_and(|kind| kind.eq_ignore_ascii_case(FORM)) {
            return Err(unsupported(FORM));
        }
        let bytes = body(request).await?;
        pairs(&bytes)
            .map(Self)
            .map_err(|error| field_problem(StatusCode::UNPROCESSABLE_ENTITY, "The form is not as expected", &error))
    }
}

macro_rules! valid {
    ($($extracts:ident::$extract:ident($from:ty) for $name:ident),*) => {$(
        impl<T, S> $extracts<S> for Valid<$name<T>>
        where
            $name<T>: $extracts<S, Rejection = Problem>,
            T: garde::Validate<Context: Default>,
            S: Send + Sync,
        {
            type Rejection = Problem;

            fn $extract(from: $from, state: &S) -> impl Future<Output = Result<Self, Problem>> {
                <$name<T> as $extracts<S>>::$extract(from, state).map(|extracted| Self::check(extracted?))
            }
        }
    )*};
}
valid! {
    FromRequest::from_request(Request) for Json,
    FromRequest::from_request(Request) for Form,
    FromRequestParts::from_request_parts(&mut Parts) for Query,
    FromRequestParts::from_request_parts(&mut Parts) for Path
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let key = idempotency::key(&parts.headers)?;
        key.map(|key| Self(key.to_owned())).ok_or_else(|| idempotency::malformed("is missing"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        Ok(idempotency::key(&parts.headers)?.map(|key| Self(key.to_owned())))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        body(request).await.map(Self)
    }
}

/// The whole body, up to the limit that axum's `DefaultBodyLimit` holds. One that says itself that it is longer is not begun.
///
/// What gives it and its callers are no `async` functions, because each would hold the request once more.
pub(crate) fn body(request: Request) -> impl Future<Output = Result<Bytes, Problem>> {
    let announced = request.body().size_hint().lower();
    let limited = request.into_limited_body();
    let limit = limited.size_hint().upper();
    async move {
        let too_large = || Problem::from(StatusCode::PAYLOAD_TOO_LARGE);
        if limit.is_some_and(|limit| limit < announced) {
            return Err(too_large());
        }
        match whole(limited).await {
            Ok(bytes) => Ok(bytes),
            Err(error) if is_beyond_limit(&error) => Err(too_large()),
            Err(_broken) => Err(Problem::new(StatusCode::BAD_REQUEST, "The body ended early")),
        }
    }
}

/// All of a body, which mostly comes in one piece.
async fn whole(mut body: axum::body::Body) -> Result<Bytes, axum::Error> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if whole.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

fn is_beyond_limit(error: &axum::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.any(|cause| cause.is::<LengthLimitError>())
}

fn query<T: DeserializeOwned>(text: Option<&str>) -> Result<T, Problem> {
    pairs(text.unwrap_or_default().as_bytes())
        .map_err(|error| field_problem(StatusCode::BAD_REQUEST, "The query is not as expected", &error))
}

fn pairs<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_path_to_error::Error<serde_urlencoded::de::Error>> {
    let pairs = form_urlencoded::parse(text);
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The content type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split_once(';').map_or(value, |(kind, _parameters)| kind).trim())
}

/// `application/json`, or what has its suffix (RFC 6839 §3.1).
fn is_json(kind: &str) -> bool {
    let begins = |with: &str| kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let ends = |with: &str| {
        kind.len()
            .checked_sub(with.len())
            .and_then(|at| kind.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(with))
    };
    kind.eq_ignore_ascii_case("application/json") || (begins("application/") && ends("+json"))
}

fn unsupported(wanted: &str) -> Problem {
    Problem::from(StatusCode::UNSUPPORTED_MEDIA_TYPE).detail(format!("Send it with `content-type: {wanted}`."))
}

fn json_problem(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if error.inner().is_data() {
        field_problem(StatusCode::UNPROCESSABLE_ENTITY, "The body is not as expected", error)
    } else {
        let problem = not_json(error.inner());
        match known_path(error.path()) {
            path if path == "." => problem,
            path => problem.field(path, "the JSON breaks here"),
        }
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "The body is not JSON").detail(error.to_string())
}

fn field_problem<E: std::fmt::Display>(
    status: StatusCode,
    title: &str,
    error: &serde_path_to_error::Error<E>,
) -> Problem {
    let (field, detail) = name_field(&known_path(error.path()), &error.inner().to_string());
    Problem::new(status, title).field(field, detail)
}

/// The way to a field, as far as its parts have names; `.` for the whole.
fn known_path(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if !path.iter().any(|part| matches!(part, Segment::Unknown)) {
        return text;
    }
    let known = text.split('?').next().unwrap_or_default().trim_end_matches('.');
    if known.is_empty() { ".".to_owned() } else { known.to_owned() }
}

/// Serde reports a missing or unknown field at its parent; a caller wants the field's own name.
pub(crate) fn name_field(path: &str, message: &str) -> (String, String) {
    // serde_json adds where in the text, which the field says better.
    let message = message.split_once(" at line ").map_or(message, |(message, _where)| message);
    let child = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(name) = quoted(message, "missing field `") {
        return (child(name), "is missing".to_owned());
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        return (child(name), "is there twice".to_owned());
    }
    if let Some(name) = quoted(message, "unknown field `") {
        let own = path.rsplit('.').next() == Some(name);
        return (if own { path.to_owned() } else { child(name) }, "is not known".to_owned());
    }
    (path.to_owned(), in_words_of_callers(message))
}

/// What serde and the standard library say in Rust's words. Anything else stays.
fn in_words_of_callers(message: &str) -> String {
    let is_wrong = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    let expected = message.rsplit_once(", expected ").filter(|_| is_wrong).and_then(|(_, kind)| in_words(kind));
    if let Some(expected) = expected {
        return format!("must be {expected}");
    }
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => "must be a whole number",
        "number too large to fit in target type" => "is too large",
        "number too small to fit in target type" => "is too small",
        "invalid float literal" | "cannot parse float from empty string" => "must be a number",
        "provided string was not `true` or `false`" => "must be true or false",
        other => other,
    }
    .to_owned()
}

/// A Rust type, for people who send JSON. None for what has no such words, or is said in them already.
fn in_words(kind: &str) -> Option<String> {
    let whole = |low: &dyn std::fmt::Display, high: &dyn std::fmt::Display| {
        Some(format!("a whole number from {low} to {high}"))
    };
    match kind {
        "u8" => whole(&u8::MIN, &u8::MAX),
        "u16" => whole(&u16::MIN, &u16::MAX),
        "u32" => whole(&u32::MIN, &u32::MAX),
        "u64" | "usize" => whole(&u64::MIN, &u64::MAX),
        "i8" => whole(&i8::MIN, &i8::MAX),
        "i16" => whole(&i16::MIN, &i16::MAX),
        "i32" => whole(&i32::MIN, &i32::MAX),
        "i64" | "isize" => whole(&i64::MIN, &i64::MAX),
        "f32" | "f64" => Some("a number".to_owned()),
        "bool" | "a boolean" => Some("true or false".to_owned()),
        "a string" | "a borrowed string" => Some("a string".to_owned()),
        "a sequence" => Some("a list".to_owned()),
        "a map" => Some("an object".to_owned()),
        kind if kind.starts_with("struct ") => Some("an object".to_owned()),
        _ => None,
    }
}

fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    Some(message.strip_prefix(prefix)?.split_once('`')?.0)
}

fn path_problem(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Problem::internal(&rejection);
    };
    if failure.status().is_server_error() {
        return Problem::internal(&failure);
    }
    let problem = Problem::new(StatusCode::BAD_REQUEST, "The path is not as expected");
    let is_not = |value: &str, expected: &str| {
        let expected = in_words(expected).unwrap_or_else(|| format!("of type {expected}"));
        format!("`{value}` is not {expected}")
    };
    match failure.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => problem.field(key, is_not(&value, expected_type)),
        ErrorKind::ParseErrorAtIndex { value, expected_type, .. } | ErrorKind::ParseError { value, expected_type } => {
            problem.detail(is_not(&value, expected_type))
        }
        ErrorKind::DeserializeError { key, value, message } => problem.field(key, format!("`{value}`: {message}")),
        ErrorKind::InvalidUtf8InPathParam { key } => problem.field(key, "is not UTF-8"),
        other => problem.detail(other.to_string()),
    }
}
