//! The sidecar and the edge: listeners, the phases of a request, the control of both.
//!
//! A proxy has two threads. The *worker* accepts, parses, routes and forwards; the *control* thread follows the
//! controller, renews the certificate and answers on the admin port. They share immutable snapshots and atomic counters
//! and nothing else, so that neither can hold the other up.
//!
//! Reading order: [`Config`] and `app` (what is started), `listen` (connections), then one file per way that a request can
//! go: `outbound`, `inbound`, `edge`; `tunnel` is what a WebSocket becomes; `rescue` says how a failure is answered.

mod config;

mod app;

mod listen;

mod linger;

mod outbound;

mod inbound;

mod edge;

mod tunnel;

mod rescue;

mod control;

mod certificates;

mod admin;

mod metrics;

pub use app::{RunError, run};
pub use config::{Config, Role};
