//! The service by which a proxy gets its identity: a CSR in, certificates out. Generated from `certificates.proto`.

pub use crate::proto::certificates_client::CertificatesClient;
pub use crate::proto::certificates_server::{Certificates, CertificatesServer};
pub use crate::proto::{SignRequest, SignResponse};
