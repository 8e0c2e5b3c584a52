//! The control plane: keeps what is running equal to what is written down, and tells the proxies about it.
//!
//! Intent and inventory go in, a plan comes out; the plan is durable before anybody hears of it; the proxies hear of it over
//! ADS, acknowledge it, and only then is the next step of a scale-down taken. It also issues every identity of the mesh.
//! It starts no process and owns no socket: the runtime, whose child it is, does both.
//!
//! Reading order: [`run`] (the parts and how they meet), `executor` (the one loop), `planner` and `snapshot` (pure functions,
//! where all policy is), `store` (what survives), `identity` (who is who), `grpc` and `api` (the doors), `link` (the runtime).

#![warn(missing_docs)]

mod app;

mod executor;

mod planner;

mod patience;

mod snapshot;

mod changes;

mod store;

mod identity;

mod grpc;

mod api;

mod link;

mod config;

#[cfg(test)]
mod fixtures;

pub use app::{RunError, run, serve};
pub use config::{Config, Flags, MissingDescriptor};
pub use executor::ExecutorError;
pub use identity::OwnCertificateError;
pub use link::LinkError;
pub use store::OpenStoreError;
