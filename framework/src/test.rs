//! What tests of a service need: a service without a process around it, a server on a free port, and a mesh of services
//! without sockets.
//!
//! ```
//! use axum::{Router, routing::get};
//! use samspill::test;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = test::Server::start(test::service("hello", []), Router::new().route("/", get(async || "Hello"))).await;
//! let answer = server.client().get(&test::call(), "/").send().await.unwrap();
//! assert_eq!(answer.text().await.unwrap(), "Hello");
//! server.stop().await;
//! # });
//! ```
//!
//! Beside it stand [`#[samspill::test]`](macro@crate::test), [`fault`](crate::fault), and the mocks and the conformance
//! suite of a [`contract`](crate::contract). `docs/guides/testing.md` shows when to use which.

mod mesh;
mod network;
mod run;
mod server;

pub use mesh::{Served, TestMesh};
pub(crate) use network::{Door, DoorError, Hop, WayOut};
#[doc(hidden)]
pub use run::{run, run_async};
pub use server::{Server, call, service, service_with_arguments};

pub use crate::contract::assert_committed;
