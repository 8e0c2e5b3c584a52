//! The control protocol: the model's nouns as Envoy's xDS messages, in both directions, over delta ADS.
//!
//! This is the only crate that sees `envoy-types`, and none of its types are in a public signature except the gRPC services
//! themselves. What is sent and what is accepted is written in `docs/reference/xds-profile.md`; `messages` is that page as
//! code, one file per type, rendering and parsing side by side.
//!
//! A controller uses [`render`] and [`server`], a proxy uses [`client`], and both use [`certificates`].

mod kind;
mod messages;
mod proto;

pub mod render;

pub mod server;

pub mod client;

pub mod certificates;

/// The largest message on a stream, in bytes. tonic's own limit, 4 MiB, is a few thousand services.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// How our own proxies name themselves in `node.user_agent_name`.
const USER_AGENT: &str = "samspill";

#[cfg(test)]
mod tests;
