//! The generated messages and services of `proto/samspill/v1/`.

tonic::include_proto!("samspill.v1");
