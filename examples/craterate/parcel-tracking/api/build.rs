//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 1] = ["proto/craterate/tracking/v1/tracking.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
