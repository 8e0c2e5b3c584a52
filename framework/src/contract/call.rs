//! [`ApiCall`]: a call of a contract's method, from the caller's side.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;

use http::{HeaderMap, Method, StatusCode};

use super::{ApiError, Reply};
use crate::{Call, CallError, Client, ClientRequest, Problem};

/// A call that is being prepared; it is sent when it is awaited, and gives what the method answers.
///
/// ```
/// # use samspill::Problem;
/// # use samspill::extract::Json;
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     /// How often each thing happened.
///     #[get("/counts")]
///     async fn counts(&self, call: &samspill::Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// async fn total(call: &samspill::Call, statistics: &StatisticsClient) -> Result<u64, Problem> {
///     Ok(statistics.counts(call).await?.iter().sum())
/// }
/// ```
#[must_use = "it is not sent until it is awaited"]
pub struct ApiCall<A, E> {
    request: ClientRequest,
    promises: PhantomData<fn() -> (A, E)>,
}

/// Why a call of a contract's method gave no success.
///
/// With `?` it becomes the [`Problem`] that our own caller is told, as [`CallError`] does; what the contract promises is
/// better matched and answered in our own words.
///
/// ```
/// use samspill::contract::ApiFailure;
/// # use samspill::extract::{Json, Path};
/// # use samspill::{ApiError, Call, Problem};
///
/// #[derive(Debug, ApiError)]
/// pub enum ParcelError {
///     #[problem(status = 404, title = "No such parcel")]
///     NoSuchParcel { id: u64 },
/// }
///
/// #[samspill::api(name = "parcels", versions = 1..=1)]
/// pub trait Parcels {
///     #[get("/parcels/{id}/grams")]
///     async fn grams(&self, call: &Call, id: Path<u64>) -> Result<Json<u64>, ParcelError>;
/// }
///
/// async fn grams_or_0(parcels: &ParcelsClient, call: &Call, id: u64) -> Result<u64, Problem> {
///     match parcels.grams(call, id).await {
///         Err(ApiFailure::Refused(ParcelError::NoSuchParcel { .. })) => Ok(0),
///         other => Ok(other?),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ApiFailure<E: ApiError> {
    /// The service refused, with an error of the contract.
    #[error("the called service refused")]
    Refused(E),
    /// There was no usable answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// An answer with its head.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// # #[samspill::api(name = "statistics", versions = 1..=1)]
/// # pub trait Statistics {
/// #     #[get("/counts")]
/// #     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let mock = MockStatistics::new().with_counts(|_call| Ok(Json(vec![7])));
/// # let server = samspill::test::Server::start(samspill::Service::new("statistics"), StatisticsApi::router(mock)).await;
/// # let client = StatisticsClient::from(server.client());
/// let counts = client.counts(&samspill::test::call()).answered().await.unwrap();
/// assert_eq!((counts.status.as_u16(), counts.value), (200, vec![7]));
/// assert_eq!(counts.headers["content-type"], "application/json");
/// # server.stop().await;
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The status, 200 to 299.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What the method answers.
    pub value: T,
}

impl<A, E> fmt::Debug for ApiCall<A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiCall").field("request", &self.request).finish()
    }
}

/// For the macro's code. Without bounds: `ApiCall`'s types are named in the method that gives it.
impl<A, E> ApiCall<A, E> {
    #[doc(hidden)]
    pub fn new(client: &Client, call: &Call, method: Method, path: &str, version: u32) -> Self {
        let path = if path == "/" { format!("/v{version}") } else { format!("/v{version}{path}") };
        Self { request: client.request(call, method, path), promises: PhantomData }
    }

    #[doc(hidden)]
    pub fn argument<V>(mut self, value: &V, write: fn(&V, ClientRequest) -> ClientRequest) -> Self {
        self.request = write(value, self.request);
        self
    }
}

impl<A: Reply, E: ApiError> ApiCall<A, E> {
    /// Sends an `Idempotency-Key`, with which a repeat of this call is recognised.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.request = self.request.idempotency_key(key);
        self
    }

    /// Sends it and waits for the answer, of which the head is given too.
    ///
    /// # Errors
    /// [`ApiFailure`]: match what the contract promises, pass on the rest with `?`.
    pub async fn answered(self) -> Result<Answered<A::Value>, ApiFailure<E>> {
        match self.request.send().await {
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers().clone());
                Ok(Answered { status, headers, value: A::read(answer).await? })
            }
            Err(CallError::Problem(problem)) => Err(match E::from_problem(problem) {
                Ok(error) => ApiFailure::Refused(error),
                Err(problem) => ApiFailure::Call(CallError::Problem(problem)),
            }),
            Err(error) => Err(ApiFailure::Call(error)),
        }
    }

    /// Sends it, and goes on without its answer if there is none: the log says why.
    ///
    /// ```
    /// # use samspill::extract::Json;
    /// # use samspill::{Call, Problem};
    /// use std::time::Duration;
    ///
    /// #[samspill::api(name = "statistics", versions = 1..=1)]
    /// pub trait Statistics {
    ///     #[get("/counts")]
    ///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    /// }
    ///
    /// /// It waits as long as the call has time, so the call is given little.
    /// async fn hint(statistics: &StatisticsClient, call: &Call) -> Option<u64> {
    ///     let brief = call.with_timeout(Duration::from_millis(200));
    ///     Some(statistics.counts(&brief).best_effort().await?.iter().sum())
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let nobody = StatisticsClient::from(samspill::Client::at("http://127.0.0.1:1"));
    /// assert_eq!(hint(&nobody, &samspill::test::call()).await, None);
    /// # });
    /// ```
    pub async fn best_effort(self) -> Option<A::Value> {
        match self.answered().await {
            Ok(answered) => Some(answered.value),
            Err(failure) => {
                tracing::warn!(error = %samspill_observability::chain(&failure), "a call that can be done without failed");
                None
            }
        }
    }
}

impl<A: Reply + 'static, E: ApiError> IntoFuture for ApiCall<A, E> {
    type Output = Result<A::Value, ApiFailure<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.answered().await.map(|answered| answered.value) })
    }
}

/// For a handler that treats every refusal alike, typed or not.
impl<E: ApiError> From<ApiFailure<E>> for CallError {
    fn from(failure: ApiFailure<E>) -> Self {
        match failure {
            ApiFailure::Refused(error) => Self::Problem(error.into_problem()),
            ApiFailure::Call(error) => error,
        }
    }
}

/// The same for gRPC handlers.
impl<E: ApiError> From<ApiFailure<E>> for tonic::Status {
    fn from(failure: ApiFailure<E>) -> Self {
        CallError::from(failure).into()
    }
}

/// What our own caller is told: the called service's refusal is ours to explain, so it becomes a 502 unless it is matched.
impl<E: ApiError> From<ApiFailure<E>> for Problem {
    fn from(failure: ApiFailure<E>) -> Self {
        CallError::from(failure).into()
    }
}
