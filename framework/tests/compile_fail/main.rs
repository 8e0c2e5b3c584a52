//! Mistakes, of which `tests/it/contract/mistakes.rs` compiles one file at a time.

#![expect(unexpected_cfgs, reason = "the test says which mistakes")]

#[cfg(mistakes = "implementation")]
mod implementation;
#[cfg(mistakes = "types")]
mod types;

fn main() {}
