//! What Samspill shows of itself: names of spans, metrics and attributes, trace contexts, and the ways spans travel.
//!
//! Whatever every request has, a proxy's spans and those of the framework, is a [`span::SpanRecord`] that is filled by hand:
//! a `tracing` span per request costs as much as the request. Whoever writes a service makes further ones with `tracing`,
//! set up by [`telemetry`]. All leave through the one exporter in [`export`], so a dead collector means the same to all:
//! bounded memory and no waiting. [`traces`] is the other end: the receiver, the window of recent traces and the waterfall
//! of `samspill up`.
//!
//! This crate is not a tracing back end, and no type of OpenTelemetry appears in a public signature of it.
//!
//! Reading order: [`context`] (who is traced), [`conventions`] (what things are called), [`span`] and [`export`],
//! [`telemetry`], [`traces`], [`metrics`].

#![warn(missing_docs)]

pub mod context;

pub mod conventions;

pub mod span;

pub mod export;

pub mod telemetry;

pub mod traces;

pub mod metrics;

mod otlp;

mod protobuf;

mod errors;

#[cfg(test)]
mod testing;

pub use errors::chain;
pub use otlp::EndpointError;
