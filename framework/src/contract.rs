#![doc = include_str!("docs/contract.md")]

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
