//! Callers with certificates that no authority should have issued, or with none: what an attacker can assemble.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use samspill_identity::authority::CertificateAuthority;
use samspill_net::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::world::World;

const HOUR: Duration = Duration::from_secs(3600);

/// A certificate and its key.
pub(super) struct Forged(CertificateDer<'static>, PrivateKeyDer<'static>);

/// What the authority would issue to an honest caller, but for what `alter` does to it.
pub(super) fn forge(authority: &CertificateAuthority, alter: impl FnOnce(&mut CertificateParams)) -> Forged {
    let pem = authority.to_pem();
    let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE KEY").unwrap());
    let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key).unwrap()).unwrap();

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "samspill.local");
    params.subject_alt_names = vec![uri(&World::id("parcel-booking").to_string())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    valid(&mut params, clock::now() - HOUR, clock::now() + HOUR);
    alter(&mut params);

    let own = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&own, &issuer).unwrap();
    Forged(certificate.der().clone(), PrivatePkcs8KeyDer::from(own.serialize_der()).into())
}

pub(super) fn valid(params: &mut CertificateParams, from: SystemTime, until: SystemTime) {
    params.not_before = from.into();
    params.not_after = until.into();
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(super) fn authority_of_others() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

/// Sends a request in TLS, whoever the server is, and gives every byte that comes back. With a certificate or without.
pub(super) async fn answer_to(address: SocketAddr, certificate: Option<Forged>, request: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = match certificate {
        Some(Forged(certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("invoicing").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    // A refusal may come in the handshake, or only as the answer to the request (TLS 1.3).
    if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await
        && stream.write_all(request.as_bytes()).await.is_ok()
    {
        drop(stream.read_to_end(&mut answer).await);
    }
    answer
}

/// Trusts every server.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
