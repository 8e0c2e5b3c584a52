//! What a data plane does, whatever hosts it: route, balance, connect, forward.
//!
//! The engine knows no xDS and opens no listener. It asks its [`directory`] for names and is handed immutable snapshots;
//! its host hands it requests. One worker thread has one [`Engine`], with pools and counters of its own, and nothing on
//! a request's path is shared between workers; yet every type is `Send + Sync`, so that an engine can be linked into a
//! service.
//!
//! Reading order follows a request: [`route`] chooses a backend, [`balance`] an endpoint of it, [`endpoint`] a pooled or
//! fresh connection, [`forward`] sends, and [`reason`] says why it could not be.

pub mod directory;

pub mod route;

pub mod balance;

pub mod endpoint;

pub mod forward;

pub mod body;

pub mod headers;

pub mod reason;

pub mod observe;

pub mod metrics;

pub mod connection;

mod replay;

mod expiring;

pub use body::Body;
pub use forward::{Engine, Outgoing};
pub use reason::{Failure, Reason};
