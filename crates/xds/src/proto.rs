//! The generated messages and services of `proto/samspill/v1/`.

#![expect(unreachable_pub, unnameable_types, reason = "generated for a public module")]
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "the generator has a style of its own"
)]

tonic::include_proto!("samspill.v1");
