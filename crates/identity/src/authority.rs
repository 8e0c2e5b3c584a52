//! The mesh's certificate authority.
//!
//! It decides everything that a certificate says. From a request it takes the public key, after the signature has proven
//! that the requester has the private one, and nothing else.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use samspill_model::identity::SpiffeId;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::identity::TrustBundle;
use crate::verifier::PROVIDER;

/// How far clocks may differ: a certificate is valid this long before it was issued (as SPIRE's).
const BACKDATED: Duration = Duration::from_secs(10);

/// How long an authority lives. It is not rotated yet.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A request for a P-256 key has about 200 bytes.
const MAX_REQUEST_BYTES: usize = 4096;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// What was stored is not what [`CertificateAuthority::to_pem`] wrote.
    #[error("the stored certificate authority is damaged: {0}")]
    Damaged(&'static str),
    /// The library refused.
    #[error("cannot make a certificate authority")]
    Library(#[from] rcgen::Error),
}

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request cannot be read.
    #[error("the signing request is malformed")]
    Malformed,
    /// The requester has not proven that it has the private key.
    #[error("the signing request's signature is wrong")]
    Signature,
    /// Only P-256 keys are certified.
    #[error("the signing request's key is not of the kind P-256")]
    Key,
    /// The identity belongs to somebody else's mesh.
    #[error("{0} is not of this authority's trust domain")]
    TrustDomain(SpiffeId),
    /// The library refused.
    #[error("cannot issue a certificate")]
    Library(#[from] rcgen::Error),
}

/// Signs the certificates of one trust domain.
pub struct CertificateAuthority {
    trust_domain: String,
    pem: String,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A new authority, with a new key.
    pub fn create(trust_domain: &str, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(trust_domain);
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(random_serial());
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + AUTHORITY_LIFETIME).into();
        let certificate = params.self_signed(&key)?;
        Self::from_pem(&format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// The certificate and **the private key**, to be stored where only the controller can read.
    pub fn to_pem(&self) -> String {
        self.pem.clone()
    }

    /// What [`to_pem`](Self::to_pem) wrote.
    pub fn from_pem(text: &str) -> Result<Self, AuthorityError> {
        let damaged = |what| move |_error| AuthorityError::Damaged(what);
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(damaged("no certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(damaged("no private key"))?;
        let key = KeyPair::try_from(&key)?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|_error| AuthorityError::Damaged("the certificate is malformed"))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Damaged("the key is another certificate's"));
        }
        Ok(Self {
            trust_domain: trust_domain(&parsed).ok_or(AuthorityError::Damaged("no trust domain is named"))?,
            not_after: parsed.validity().not_after.to_datetime().into(),
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            pem: text.to_owned(),
            certificate,
        })
    }

    /// What the members of the mesh trust.
    pub fn bundle(&self) -> TrustBundle {
        TrustBundle { trust_domain: self.trust_domain.clone(), roots: vec![self.certificate.clone()] }
    }

    /// A certificate for `id`, whom the caller has attested, and for the key of the request. The chain is without the root.
    pub fn issue(
        &self,
        csr_der: &[u8],
        id: &SpiffeId,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Vec<CertificateDer<'static>>, IssueError> {
        if id.trust_domain != self.trust_domain {
            return Err(IssueError::TrustDomain(id.clone()));
        }
        let key = proven_key(csr_der)?;
        let certificate = self.sign(leaf(id)?, &key, lifetime, now)?;
        Ok(vec![certificate.der().clone()])
    }

    /// Never longer than the authority itself is valid.
    pub(crate) fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Certificate, rcgen::Error> {
        params.serial_number = Some(random_serial());
        params.not_before = (now - BACKDATED).into();
        params.not_after = now.checked_add(lifetime).map_or(self.not_after, |end| end.min(self.not_after)).into();
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer)
    }
}

/// All that a leaf says, but its dates and its number.
pub(crate) fn leaf(id: &SpiffeId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&id.trust_domain);
    params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// The public key of a request that was signed with the private one.
fn proven_key(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, IssueError> {
    if csr_der.len() > MAX_REQUEST_BYTES {
        return Err(IssueError::Malformed);
    }
    let (rest, request) = X509CertificationRequest::from_der(csr_der).map_err(|_error| IssueError::Malformed)?;
    if !rest.is_empty() {
        return Err(IssueError::Malformed);
    }
    request.verify_signature().map_err(|_error| IssueError::Signature)?;
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw);
    let key = key.map_err(|_error| IssueError::Key)?;
    if key.algorithm() == &PKCS_ECDSA_P256_SHA256 { Ok(key) } else { Err(IssueError::Key) }
}

/// Some peers refuse a certificate without a subject.
fn named(trust_domain: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, trust_domain);
    name
}

/// 128 random bits, positive.
fn random_serial() -> SerialNumber {
    let mut serial = [0; 16];
    PROVIDER.secure_random.fill(&mut serial).expect("the system has random bytes");
    serial[0] &= 0x7f;
    SerialNumber::from_slice(&serial)
}

/// An authority's certificate carries its trust domain as an ID without a path (X509-SVID §2).
fn trust_domain(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://").map(str::to_owned),
        _ => None,
    })
}
