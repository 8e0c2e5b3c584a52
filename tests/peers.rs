//! Real peers that know nothing of us: a browser, another language's gRPC, another proxy, judges of documents and of answers.
//!
//! `cargo xtask peers install` fetches them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

mod browser;
mod documents;
mod envoy;
mod envoy_process;
mod grpcio;
mod schemathesis;
mod webdriver;

/// A program of the Python environment that `cargo xtask peers install` has made.
fn python_program(name: &str) -> PathBuf {
    let path = target().join("peers/bin").join(name);
    assert!(path.exists(), "{} is missing\n\nhint: cargo xtask peers install", path.display());
    path
}

/// cargo's target folder.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

/// A file beside this module.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}
