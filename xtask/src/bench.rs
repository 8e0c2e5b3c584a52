//! Placeholder.
use anyhow::Result; use clap::Subcommand;
#[derive(Subcommand)] pub(crate) enum What { Proxy }
pub(crate) fn run(_w: &What) -> Result<()> { Ok(()) }
