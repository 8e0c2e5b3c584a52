//! Samspill's framework: what a service links.
//!
//! A service is an axum router, or tonic services, or both, and a `main` that hands them to a [`Service`]. Tracing,
//! health, errors, settings and an orderly end come with it; other services are called by their names.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use axum::{Router, routing::post};
//! use samspill::extract::Json;
//! use samspill::{Call, Client, Problem, Service};
//!
//! #[derive(serde::Deserialize)]
//! struct Settings { base_cents: u64 }
//!
//! #[derive(serde::Deserialize)]
//! struct Ask { grams: u64 }
//!
//! #[derive(serde::Serialize)]
//! struct Quote { cents: u64 }
//!
//! async fn quote(statistics: Client, base: u64, call: Call, ask: Ask) -> Result<Json<Quote>, Problem> {
//!     statistics.post(&call, "/v1/events").json(&serde_json::json!({ "type": "quote" })).send().await?;
//!     Ok(Json(Quote { cents: base + ask.grams / 10 }))
//! }
//!
//! fn main() -> ExitCode {
//!     Service::new("shipping-cost-calculator").run(async |service: Service| -> Result<(), samspill::Error> {
//!         let settings: Settings = service.settings()?;
//!         let statistics = service.client("statistics");
//!         let handler = move |call: Call, Json(ask): Json<Ask>| quote(statistics, settings.base_cents, call, ask);
//!         service.serve(Router::new().route("/v2/quotes", post(handler))).await
//!     })
//! }
//! ```
//!
//! No type of hyper, of OpenTelemetry or of tonic's transport is part of this crate's interface: they change twice a
//! year. axum, http, tower and tonic's messages are.
//!
//! Reading order: [`Service`] (the whole), [`Call`] (one request), [`Problem`] and [`extract`] (what comes in and what
//! is refused), [`Client`] and [`Channel`] (calls to others), [`Secret`] and [`SettingsError`], [`mod@test`], [`fault`].

#![warn(missing_docs)]

// What the macros write names this crate by its name, in its own tests too.
#[cfg(test)]
extern crate self as samspill;

mod service;

mod settings;

mod server;

mod call;

mod problem;

pub mod extract;

pub mod contract;

mod page;

pub mod idempotency;

pub mod events;

pub mod socket;

mod client;

mod channel;

mod observe;

mod error;

pub mod fault;

#[doc(hidden)]
pub mod function;

pub mod test;

pub use call::{Call, JwtAlgorithm, JwtError, JwtSettings, Principal, Priority, Subject};
pub use channel::{CallChannel, Channel};
pub use client::{Answer, CallError, Client, ClientRequest};
pub use contract::ApiError;
pub use error::Error;
pub use page::{Cursor, Page};
pub use problem::{FieldError, Problem};
/// Makes the error of a contract's methods of an enum: see [`contract::ApiError`], where all that a variant may say is.
///
/// ```
/// #[derive(Debug, samspill::ApiError)]
/// enum ParcelError {
///     #[problem(status = 404, title = "No such parcel")]
///     NoSuchParcel { id: u64 },
/// }
///
/// let problem = samspill::Problem::from(ParcelError::NoSuchParcel { id: 7 });
/// assert_eq!((problem.status().as_u16(), problem.members()["id"].as_u64()), (404, Some(7)));
/// ```
pub use samspill_macros::ApiError;
#[doc = include_str!("docs/api.md")]
pub use samspill_macros::api;
#[doc = include_str!("docs/function.md")]
pub use samspill_macros::function;
#[doc = include_str!("docs/test.md")]
pub use samspill_macros::test;
pub use samspill_model::identity::SpiffeId;
pub use service::{GrpcService, Service};
pub use settings::{Mistake, Secret, SettingsError};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The guides' examples run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/versions.md")]
struct VersionsGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/errors.md")]
struct ErrorsGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/calling-others.md")]
struct CallingOthersGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/testing.md")]
struct TestingGuide;
