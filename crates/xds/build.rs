//! Generates the messages of our own from `proto/`, without `protoc`.

use std::error::Error;

use tonic_prost_build::Config;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["samspill/v1/inbound.proto", "samspill/v1/certificates.proto"], ["proto"])?;
    let mut config = Config::new();
    config.enable_type_names();
    // Ordered maps: the content hash of a resource must not depend on chance.
    tonic_prost_build::configure().btree_map(".").compile_fds_with_config(files, config)?;
    Ok(())
}
