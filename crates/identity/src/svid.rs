//! The rules of a leaf certificate (X509-SVID §4 and §5.2), beyond those of any certificate chain.

use std::time::SystemTime;

use samspill_model::identity::{ParseIdentityError, SpiffeId};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Why a certificate is nobody's identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// It cannot be read, or says the same thing twice.
    #[error("the certificate is malformed")]
    Malformed,
    /// It must name exactly one.
    #[error("the certificate has {0} URI names instead of one")]
    Names(usize),
    /// Its name is none of ours.
    #[error(transparent)]
    Name(#[from] ParseIdentityError),
    /// It may sign others, and so must not be used to authenticate.
    #[error("the certificate is an authority's")]
    Authority,
    /// Its key must be for digital signatures, critically, and not for certificates or revocation lists.
    #[error("the certificate's key usage is not that of an identity")]
    KeyUsage,
    /// It must be for both sides of a connection.
    #[error("the certificate's extended key usage is not for server and client")]
    ExtendedKeyUsage,
}

/// What a leaf certificate says.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) id: SpiffeId,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Leaf {
    /// Reads a certificate and checks all but its signature, its dates and its trust domain.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, SvidError> {
        let malformed = |_error| SvidError::Malformed;
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_error| SvidError::Malformed)?;
        if !rest.is_empty() {
            return Err(SvidError::Malformed);
        }
        if certificate.basic_constraints().map_err(malformed)?.is_some_and(|constraints| constraints.value.ca) {
            return Err(SvidError::Authority);
        }
        let key_usage = certificate.key_usage().map_err(malformed)?.ok_or(SvidError::KeyUsage)?;
        let value = key_usage.value;
        if !key_usage.critical || !value.digital_signature() || value.key_cert_sign() || value.crl_sign() {
            return Err(SvidError::KeyUsage);
        }
        let extended = certificate.extended_key_usage().map_err(malformed)?;
        if extended.is_some_and(|usage| !usage.value.server_auth || !usage.value.client_auth) {
            return Err(SvidError::ExtendedKeyUsage);
        }

        let names = certificate.subject_alternative_name().map_err(malformed)?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let uris: Vec<_> =
            names.filter_map(|name| if let GeneralName::URI(uri) = name { Some(uri) } else { None }).collect();
        let [uri] = uris.as_slice() else { return Err(SvidError::Names(uris.len())) };
        Ok(Self {
            id: uri.parse()?,
            not_before: date(certificate.validity().not_before.to_datetime()),
            not_after: date(certificate.validity().not_after.to_datetime()),
        })
    }
}

fn date(date: OffsetDateTime) -> SystemTime {
    date.into()
}
