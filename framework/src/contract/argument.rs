//! [`Argument`]: a part of a request, as both ends and the document see it.

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::openapi::{OperationDocument, Place};
use crate::extract::{Form, IdempotencyKey, Json, Path, Query, Valid};
use crate::{ClientRequest, Problem};

/// A request on its way to a contract's method, of which the arguments are taken one by one.
///
/// ```
/// use samspill::Problem;
/// use samspill::contract::Received;
/// use samspill::extract::{Body, IdempotencyKey};
///
/// /// The head first, then the body.
/// async fn keyed(request: &mut Received) -> Result<(String, usize), Problem> {
///     let IdempotencyKey(key) = request.parts().await?;
///     let Body(bytes) = request.body().await?;
///     Ok((key, bytes.len()))
/// }
/// # let _ = keyed;
/// ```
#[derive(Debug)]
pub struct Received(Request);

impl Received {
    pub(crate) fn new(request: Request) -> Self {
        Self(request)
    }

    /// Takes something of the head.
    ///
    /// # Errors
    /// Those of the extractor.
    pub fn parts<E: FromRequestParts<()> + 'static>(&mut self) -> impl Future<Output = Result<E, E::Rejection>> + Send {
        self.0.extract_parts()
    }

    /// Takes the body, and with it the rest of the request: the last argument may.
    ///
    /// # Errors
    /// Those of the extractor.
    pub fn body<E: FromRequest<()>>(&mut self) -> impl Future<Output = Result<E, E::Rejection>> + Send + use<E> {
        E::from_request(std::mem::take(&mut self.0), &())
    }
}

/// What a method of a contract can take besides the [`Call`](crate::Call): it is read by the service, written by the
/// client, and described in the document.
///
/// Implemented for the extractors of [`extract`](crate::extract), for axum's `Json`, `Query`, `Path` and `Form` (which
/// then refuse with a [`Problem`]), and for [`Bytes`]. The argument that takes the body is the last.
///
/// One of your own is made of those:
///
/// ```
/// use samspill::contract::{Argument, OperationDocument, Received};
/// use samspill::extract::Json;
/// use samspill::{Call, ClientRequest, Problem};
///
/// /// A weight that callers give in kilograms, whatever they are counted in here.
/// pub struct Grams(u64);
///
/// impl Argument for Grams {
///     type Value = u64;
///
///     async fn read(request: &mut Received) -> Result<Self, Problem> {
///         let Json(kilograms) = request.body::<Json<u64>>().await?;
///         Ok(Self(kilograms.saturating_mul(1000)))
///     }
///
///     fn write(kilograms: &u64, request: ClientRequest) -> ClientRequest {
///         request.json(kilograms)
///     }
///
///     fn describe(operation: &mut OperationDocument<'_>) {
///         Json::<u64>::describe(operation);
///     }
/// }
///
/// #[samspill::api(name = "scale", versions = 1..=1)]
/// pub trait Scale {
///     #[post("/weights")]
///     async fn weigh(&self, call: &Call, weight: Grams) -> Result<Json<u64>, Problem>;
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let scale = MockScale::new().with_weigh(|_call, Grams(grams)| Ok(Json(grams)));
/// let server = samspill::test::Server::start(samspill::Service::new("scale"), ScaleApi::router(scale)).await;
/// let client = ScaleClient::from(server.client());
/// assert_eq!(client.weigh(&samspill::test::call(), 2).await.unwrap(), 2000);
/// # server.stop().await;
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a contract",
    label = "not a part of a request",
    note = "take `Json<T>`, `Query<T>`, `Path<T>`, `Form<T>`, `Valid<…>` of one of them, `Option<IdempotencyKey>` or `Bytes`",
    note = "`T` must derive `serde::Serialize`, `serde::Deserialize` and `schemars::JsonSchema`, and `garde::Validate` in `Valid<…>`"
)]
pub trait Argument: Sized + Send {
    /// What a caller gives: the value without its wrapper.
    type Value;

    /// Takes it from a request.
    ///
    /// # Errors
    /// What the caller is told.
    fn read(request: &mut Received) -> impl Future<Output = Result<Self, Problem>> + Send;

    /// Writes it into a request.
    fn write(value: &Self::Value, request: ClientRequest) -> ClientRequest;

    /// Describes it.
    fn describe(operation: &mut OperationDocument<'_>);
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send> Argument for Json<T> {
    type Value = T;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.body().await
    }

    fn write(value: &T, request: ClientRequest) -> ClientRequest {
        request.json(value)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_body::<T>("application/json");
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send> Argument for Form<T> {
    type Value = T;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.body().await
    }

    fn write(value: &T, request: ClientRequest) -> ClientRequest {
        request.form(value)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_body::<T>("application/x-www-form-urlencoded");
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Argument for Query<T> {
    type Value = T;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.parts().await
    }

    fn write(value: &T, request: ClientRequest) -> ClientRequest {
        request.query(value)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_parameters::<T>(Place::Query);
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Argument for Path<T> {
    type Value = T;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.parts().await
    }

    fn write(value: &T, request: ClientRequest) -> ClientRequest {
        request.path_parameters(value)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_parameters::<T>(Place::Path);
    }
}

/// Refuses with 422 what its rules do not allow.
#[diagnostic::do_not_recommend]
impl<A> Argument for Valid<A>
where
    A: Argument + AsRef<A::Value>,
    A::Value: Validate<Context: Default>,
{
    type Value = A::Value;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        Self::check(A::read(request).await?)
    }

    fn write(value: &A::Value, request: ClientRequest) -> ClientRequest {
        A::write(value, request)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        A::describe(operation);
        operation.may_refuse(422);
    }
}

impl Argument for IdempotencyKey {
    type Value = String;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.parts().await
    }

    fn write(value: &String, request: ClientRequest) -> ClientRequest {
        request.idempotency_key(value)
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_idempotency_key(true);
    }
}

impl Argument for Option<IdempotencyKey> {
    type Value = Option<String>;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.parts::<Self>().await
    }

    fn write(value: &Option<String>, request: ClientRequest) -> ClientRequest {
        match value {
            Some(key) => request.idempotency_key(key),
            None => request,
        }
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_idempotency_key(false);
    }
}

impl Argument for Bytes {
    type Value = Self;

    async fn read(request: &mut Received) -> Result<Self, Problem> {
        request.body::<crate::extract::Body>().await.map(|body| body.0)
    }

    fn write(value: &Self, request: ClientRequest) -> ClientRequest {
        request.header(http::header::CONTENT_TYPE, "application/octet-stream").body(value.clone())
    }

    fn describe(operation: &mut OperationDocument<'_>) {
        operation.takes_bytes();
    }
}

/// axum's own extractors are ours in other clothes: what they refuse is a problem too.
macro_rules! like_ours {
    ($($axum:path => $ours:ident),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T> Argument for $axum
        where
            $ours<T>: Argument<Value = T>,
            T: Send,
        {
            type Value = T;

            async fn read(request: &mut Received) -> Result<Self, Problem> {
                let $ours(value) = <$ours<T> as Argument>::read(request).await?;
                Ok(Self(value))
            }

            fn write(value: &T, request: ClientRequest) -> ClientRequest {
                <$ours<T> as Argument>::write(value, request)
            }

            fn describe(operation: &mut OperationDocument<'_>) {
                <$ours<T> as Argument>::describe(operation);
            }
        }
    )*};
}

like_ours! {
    axum::Json<T> => Json,
    axum::Form<T> => Form,
    axum::extract::Query<T> => Query,
    axum::extract::Path<T> => Path
}
