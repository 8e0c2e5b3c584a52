//! [`Reply`]: a success, as both ends and the document see it.

use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::openapi::OperationDocument;
use crate::extract::Json;
use crate::{Answer, CallError, Problem};

/// What a method of a contract can answer: it is written by the service, read by the client, and described in the document.
///
/// Implemented for [`Json`] (200), [`Created`] (201), [`Accepted`] (202), [`NoContent`] (204), axum's `Json`, and a pair of
/// headers and one of them.
///
/// One of your own is made of those:
///
/// ```
/// use axum::response::Response;
/// use http::{HeaderValue, header};
/// use samspill::contract::{NoContent, OperationDocument, Reply};
/// use samspill::{Answer, CallError};
///
/// /// An answer that nobody may keep.
/// struct Fresh<R>(R);
///
/// impl<R: Reply> Reply for Fresh<R> {
///     type Value = R::Value;
///
///     async fn read(answer: Answer) -> Result<R::Value, CallError> {
///         R::read(answer).await
///     }
///
///     fn write(self) -> Response {
///         let mut response = self.0.write();
///         response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
///         response
///     }
///
///     fn describe(operation: &mut OperationDocument<'_>) {
///         R::describe(operation);
///     }
/// }
///
/// assert_eq!(Fresh(NoContent).write().headers()["cache-control"], "no-store");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a contract's method",
    label = "not an answer",
    note = "answer with `Json<T>`, `Created<T>`, `Accepted`, `NoContent`, or `(HeaderMap, …)` of one of them",
    note = "`T` must derive `serde::Serialize`, `serde::Deserialize` and `schemars::JsonSchema`"
)]
pub trait Reply: Sized + Send {
    /// What a caller gets: the value without its wrapper.
    type Value: Send;

    /// Reads it from an answer.
    ///
    /// # Errors
    /// [`CallError::Broken`], or [`CallError::Unexpected`] for another shape.
    fn read(answer: Answer) -> impl Future<Output = Result<Self::Value, CallError>> + Send;

    /// Writes it into an answer.
    fn write(self) -> Response;

    /// Describes it.
    fn describe(operation: &mut OperationDocument<'_>);
}

/// 201: something new is there, at a place of its own.
///
/// ```
/// use axum::response::IntoResponse;
/// use samspill::contract::Created;
///
/// // From `/v1/invoices` this leads to `/v1/invoices/17`, whatever stands before it at the edge.
/// let response = Created::at("invoices/17", "an invoice").into_response();
/// assert_eq!((response.status().as_u16(), &response.headers()["location"]), (201, &"invoices/17".parse().unwrap()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created<T> {
    location: String,
    value: T,
}

impl<T> Created<T> {
    /// `location` is relative to the request's path (RFC 9110 §10.2.2): so it is right behind a prefix too.
    pub fn at(location: impl Into<String>, value: T) -> Self {
        Self { location: location.into(), value }
    }
}

/// 202: it will be done.
///
/// ```
/// use samspill::contract::{Accepted, Reply};
///
/// assert_eq!(Accepted.write().status(), 202);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted;

/// 204: it is done, and there is nothing to say.
///
/// ```
/// use samspill::contract::{NoContent, Reply};
///
/// assert_eq!(NoContent.write().status(), 204);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoContent;

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send> Reply for Json<T> {
    type Value = T;

    async fn read(answer: Answer) -> Result<T, CallError> {
        answer.json().await
    }

    fn write(self) -> Response {
        self.into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.answers_json::<T>(StatusCode::OK, &[]);
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send> Reply for axum::Json<T> {
    type Value = T;

    async fn read(answer: Answer) -> Result<T, CallError> {
        answer.json().await
    }

    fn write(self) -> Response {
        self.into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        <Json<T> as Reply>::describe(operation);
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        match HeaderValue::from_str(&self.location) {
            Ok(location) => (StatusCode::CREATED, [(LOCATION, location)], Json(self.value)).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send> Reply for Created<T> {
    type Value = T;

    async fn read(answer: Answer) -> Result<T, CallError> {
        answer.json().await
    }

    fn write(self) -> Response {
        self.into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        let location = ("location", "Where it is, relative to the request's path.");
        operation.answers_json::<T>(StatusCode::CREATED, &[location]);
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

impl Reply for Accepted {
    type Value = ();

    async fn read(_answer: Answer) -> Result<(), CallError> {
        Ok(())
    }

    fn write(self) -> Response {
        self.into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.answers_nothing(StatusCode::ACCEPTED);
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Reply for NoContent {
    type Value = ();

    async fn read(_answer: Answer) -> Result<(), CallError> {
        Ok(())
    }

    fn write(self) -> Response {
        self.into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.answers_nothing(StatusCode::NO_CONTENT);
    }
}

/// Headers that are no part of the contract, beside an answer that is.
impl<R: Reply> Reply for (HeaderMap, R) {
    type Value = R::Value;

    fn read(answer: Answer) -> impl Future<Output = Result<Self::Value, CallError>> + Send {
        R::read(answer)
    }

    fn write(self) -> Response {
        let (headers, reply) = self;
        (headers, reply.write()).into_response()
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        R::describe(operation);
    }
}
