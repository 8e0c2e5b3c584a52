//! Contracts: a public, versioned API is a Rust trait.
//!
//! The moment a module becomes a service, its API is public: callers cannot be expected to upgrade with it, and another
//! implementation may take its place, in another language too, as long as the API keeps its meaning. So the API is written
//! down once, as a trait in a crate of its own that callers and implementations share, and everything else comes from it:
//!
//! | | |
//! |---|---|
//! | the router | `StatisticsApi::router(implementation)`, for [`Service::serve`](crate::Service::serve) |
//! | a typed client | `service.api::<StatisticsApi>()`, by name; every call needs the inbound [`Call`](crate::Call) |
//! | a mock | `MockStatistics::new().with_counts(\|call\| …)`, an implementation for the tests of callers |
//! | the documents | `/openapi/v1.json` (3.0.3), `/openapi/v1-3.1.json`, `/openapi/v1.html`, and under the contract's name, `/openapi/NAME/v1.json`, which is all there is in a service of several contracts; [`Api::openapi`] |
//! | a digest of each version | [`Api::digest`]: it changes when the API does, and not with its documentation |
//! | a conformance suite | `StatisticsApi::conformance(base_url)`, against whatever serves there |
//!
//! ```
//! use samspill::extract::{Json, Query, Valid};
//! use samspill::{ApiError, Call, Problem};
//!
//! mod v1 {
//!     #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//!     pub struct Ask { pub to: String, pub kilograms: u32 }
//!     #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//!     pub struct Price { pub price: String }
//! }
//!
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, garde::Validate)]
//! pub struct Ask {
//!     #[garde(length(equal = 2))]
//!     pub to: String,
//!     #[garde(range(min = 1, max = 31_500))]
//!     pub grams: u32,
//! }
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! pub struct Quote { pub cents: u64 }
//!
//! #[derive(Debug, ApiError)]
//! pub enum CostError {
//!     /// We do not ship there.
//!     #[problem(status = 422, title = "Destination is not served")]
//!     UnknownDestination { country: String },
//!     #[problem(transparent)]
//!     Other(Problem),
//! }
//!
//! /// What a parcel costs.
//! #[samspill::api(
//!     name = "shipping-cost-calculator",
//!     versions = 1..=2,
//!     deprecated(v1, since = "2026-11-01", sunset = "2027-05-01"),
//! )]
//! pub trait ShippingCost {
//!     /// A price in whole kilograms.
//!     #[get("/quote", until = 1)]
//!     async fn quote_v1(&self, call: &Call, ask: Query<v1::Ask>) -> Result<Json<v1::Price>, CostError>;
//!
//!     /// A price to the gram.
//!     #[post("/quotes", since = 2)]
//!     async fn quote(&self, call: &Call, ask: Valid<Json<Ask>>) -> Result<Json<Quote>, CostError>;
//! }
//!
//! struct Calculator;
//!
//! impl ShippingCost for Calculator {
//!     async fn quote(&self, _call: &Call, Valid(Json(ask)): Valid<Json<Ask>>) -> Result<Json<Quote>, CostError> {
//!         if ask.to != "SE" {
//!             return Err(CostError::UnknownDestination { country: ask.to });
//!         }
//!         Ok(Json(Quote { cents: u64::from(ask.grams) }))
//!     }
//!
//!     // The old version is only the difference.
//!     async fn quote_v1(&self, call: &Call, Query(ask): Query<v1::Ask>) -> Result<Json<v1::Price>, CostError> {
//!         let ask = Valid::check(Json(Ask { to: ask.to, grams: ask.kilograms * 1000 }))?;
//!         let Json(quote) = self.quote(call, ask).await?;
//!         Ok(Json(v1::Price { price: format!("{}.{:02}", quote.cents / 100, quote.cents % 100) }))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = samspill::test::Server::start(samspill::Service::new("calculator"), ShippingCostApi::router(Calculator)).await;
//! let client = ShippingCostClient::from(server.client());
//! let call = samspill::test::call();
//! assert_eq!(client.quote(&call, Ask { to: "SE".into(), grams: 2500 }).await.unwrap(), Quote { cents: 2500 });
//! # server.stop().await;
//! # });
//! ```
//!
//! # Versions
//!
//! A version is a whole number. `versions = 1..=2` are those that are served; a method is in all of them unless it says
//! `since` or `until`, both included. Callers say the version in the path, `/v2/quotes`, or in a header, `/quotes` with
//! `api-version: 2` (answered with `Vary: api-version`). One that is not there is a problem with `supported`: 404 in the path,
//! 406 in the header; a request that names none is told so with 400. An ordinary route of the same path goes first if no version
//! is named. A deprecated version's answers carry `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and links to the page
//! about it and to its successor.
//!
//! # What callers may rely on
//!
//! What is in a version's document stays, with its meaning, until its sunset. New versions bring what is new.

mod api;
mod argument;
mod call;
mod committed;
mod conformance;
mod digest;
mod error;
mod openapi;
mod page;
mod reply;
mod router;
mod schema;
mod versions;

pub use api::{Api, Operation};
pub use argument::{Argument, Received};
pub use call::{Answered, ApiCall, ApiFailure};
pub use committed::assert_committed;
pub use conformance::{Check, Conformance};
pub use error::{ApiError, ProblemKind};
pub use openapi::{Dialect, Document, OperationDocument};
pub use reply::{Accepted, Created, NoContent, Reply};
pub use router::ApiRouter;

pub(crate) use versions::Versions;

/// What the macros' code needs and nobody writes by hand.
#[doc(hidden)]
pub use self::for_macros::*;

use crate::Client;

/// A trait that `#[samspill::api]` has made a contract, as a type: `StatisticsApi` for `trait Statistics`.
///
/// Implemented by the macro only.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// use samspill::contract::Contract;
///
/// #[samspill::api(name = "statistics", versions = 1..=2)]
/// pub trait Statistics {
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// /// What a contract is called in a list.
/// fn line<C: Contract>() -> String {
///     let versions: Vec<String> = C::api().versions().map(|version| format!("v{version}")).collect();
///     format!("{}: {}", C::api().name(), versions.join(", "))
/// }
/// assert_eq!(line::<StatisticsApi>(), "statistics: v1, v2");
/// ```
pub trait Contract: 'static {
    /// Calls whoever implements it.
    type Client: From<Client>;

    /// The contract, described.
    fn api() -> &'static Api;
}

mod for_macros {
    use axum::response::Response;
    use http::StatusCode;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{ApiError, Reply};
    use crate::Problem;

    pub use http::Method;
    pub use tonic::{Code, Status};

    /// What a function answered, on its way out.
    #[doc(hidden)]
    pub fn answer<A: Reply, E: ApiError>(answered: Result<A, E>) -> Result<Response, Problem> {
        answered.map(Reply::write).map_err(ApiError::into_problem)
    }

    #[doc(hidden)]
    pub fn problem(status: u16, title: &str) -> Problem {
        Problem::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), title)
    }

    #[doc(hidden)]
    pub fn to_member(value: &impl Serialize) -> serde_json::Value {
        serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
    }

    #[doc(hidden)]
    pub fn from_member<T: DeserializeOwned>(problem: &Problem, name: &str) -> Option<T> {
        T::deserialize(problem.members().get(name).unwrap_or(&serde_json::Value::Null)).ok()
    }

    #[doc(hidden)]
    pub fn not_mocked(mock: &str, method: &str) -> ! {
        panic!("{mock} was not told what `{method}` answers; say so with `.with_{method}(|call, …| …)`")
    }
}
