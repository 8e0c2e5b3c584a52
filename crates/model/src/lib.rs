//! The nouns of Samspill: what is wanted, what is observed, and what a data plane is told.
//!
//! This crate does no input or output, cannot wait and names no transport. Every other crate speaks in its words, so a type
//! belongs here when two of them must agree on it.
//!
//! Reading order: [`name`] and [`identity`] (who), [`intent`] (what the files say), [`inventory`] (what is running),
//! [`plan`] (what shall run), [`snapshot`] (what the proxies are told),
//! [`link`] (what the runtime and the controller say to each other).

#![warn(missing_docs)]

pub mod name;

pub mod identity;

pub mod intent;

pub mod inventory;

pub mod plan;

pub mod snapshot;

pub mod link;
