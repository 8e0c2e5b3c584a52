//! Handshakes between two identities over a pipe in memory: the right ones, and each kind of wrong one on either side.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::NamedGroup;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use samspill_model::identity::SpiffeId;
use samspill_net::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::authority::{self, CertificateAuthority, IssueError};
use crate::svid::Leaf;
use crate::{
    HandshakeError, HandshakeFailure, Identity, IdentityStore, InvalidIdentity, Peer, SigningRequest, SvidError,
    TlsStream, TrustBundle,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

type Shaken = Result<(TlsStream<DuplexStream>, Peer), HandshakeError>;

fn id(service_account: &str) -> SpiffeId {
    SpiffeId::new("samspill.local", "craterate", service_account)
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::create("samspill.local", clock::now()).unwrap()
}

fn identity(authority: &CertificateAuthority, service_account: &str) -> Identity {
    let SigningRequest { key, csr_der } = SigningRequest::new();
    let chain = authority.issue(&csr_der, &id(service_account), HOUR, clock::now()).unwrap();
    Identity::new(chain, key, &authority.bundle()).unwrap()
}

/// An identity whose certificate is not what [`CertificateAuthority::issue`] would have made of it.
fn odd(authority: &CertificateAuthority, issued: SystemTime, alter: impl FnOnce(&mut CertificateParams)) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = authority::leaf(&id("invoicing")).unwrap();
    alter(&mut params);
    let certificate = authority.sign(params, &key, HOUR, issued).unwrap();
    unchecked(vec![certificate.into()], &key, &authority.bundle())
}

/// What an attacker can assemble: no check of what is in the certificate.
fn unchecked(chain: Vec<CertificateDer<'static>>, key: &KeyPair, bundle: &TrustBundle) -> Identity {
    let leaf = Leaf { id: id("invoicing"), not_before: clock::now(), not_after: clock::now() };
    Identity::assemble(leaf, chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into(), bundle).unwrap()
}

async fn shake(client: &Identity, expected: &[SpiffeId], server: &Identity) -> (Shaken, Shaken) {
    let (near, far) = duplex(1 << 16);
    tokio::join!(client.connect(near, expected, ALPN), server.accept(far, ALPN))
}

fn failure(shaken: Shaken) -> HandshakeFailure {
    shaken.map(|(_stream, peer)| peer).unwrap_err().reason
}

#[tokio::test]
async fn two_members_know_each_other() {
    let authority = authority();
    let (booking, invoicing) = (identity(&authority, "parcel-booking"), identity(&authority, "invoicing"));
    let (client, server) = shake(&booking, &[id("edge"), id("invoicing")], &invoicing).await;
    let ((mut client, invoicing_seen), (mut server, booking_seen)) = (client.unwrap(), server.unwrap());

    assert_eq!(booking_seen, Peer { id: id("parcel-booking"), not_after: booking.not_after, alpn: b"h2".to_vec() });
    assert_eq!(invoicing_seen.id, id("invoicing"));
    let connection = server.get_ref().1;
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(connection.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);

    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = String::new();
    server.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "hello");
}

#[tokio::test]
async fn t_07_no_session_is_resumed() {
    let authority = authority();
    let (booking, invoicing) = (identity(&authority, "parcel-booking"), identity(&authority, "invoicing"));
    let tls = booking.client(&[id("invoicing")], ALPN);
    for _ in 0..2 {
        let (near, far) = duplex(1 << 16);
        let (client, server) = tokio::join!(tls.connect(near), invoicing.accept(far, ALPN));
        let ((mut client, _), (mut server, _)) = (client.unwrap(), server.unwrap());
        assert_eq!(server.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        server.write_all(b"a ticket would come before this").await.unwrap();
        server.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
    }
}

#[tokio::test]
async fn t_01_t_02_wrong_certificates_are_refused_by_both_sides() {
    use HandshakeFailure::{Expired, NotAnIdentity, Untrusted};
    let authority = authority();
    let now = clock::now();
    let stranger = CertificateAuthority::create("samspill.local", now).unwrap();
    let elsewhere = CertificateAuthority::create("elsewhere.local", now).unwrap();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let as_is = |_: &mut CertificateParams| ();
    let names = |names: &[&str]| {
        let names = names.iter().map(|name| uri(name)).collect();
        odd(&authority, now, |params| params.subject_alt_names = names)
    };
    let usages = |usages: &[KeyUsagePurpose]| odd(&authority, now, |params| params.key_usages = usages.to_vec());
    let is_name_error = |failure: &HandshakeFailure| matches!(failure, NotAnIdentity(SvidError::Name(_)));

    let exact: Vec<(&str, Identity, HandshakeFailure)> = vec![
        ("expired", odd(&authority, now - 2 * HOUR, as_is), Expired),
        ("not yet valid", odd(&authority, now + HOUR, as_is), Expired),
        ("another authority", odd(&stranger, now, as_is), Untrusted),
        ("another trust domain", odd(&elsewhere, now, as_is), Untrusted),
        ("our authority, another trust domain", names(&["spiffe://elsewhere.local/ns/a/sa/b"]), Untrusted),
        ("no URI", names(&[]), NotAnIdentity(SvidError::Names(0))),
        (
            "two URIs",
            names(&["spiffe://samspill.local/ns/craterate/sa/invoicing", "spiffe://samspill.local/ns/a/sa/b"]),
            NotAnIdentity(SvidError::Names(2)),
        ),
        (
            "an authority's",
            odd(&authority, now, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            NotAnIdentity(SvidError::Authority),
        ),
        ("no key usage", usages(&[]), NotAnIdentity(SvidError::KeyUsage)),
        ("wrong key usage", usages(&[KeyUsagePurpose::KeyEncipherment]), NotAnIdentity(SvidError::KeyUsage)),
        (
            "key for certificates",
            usages(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]),
            NotAnIdentity(SvidError::KeyUsage),
        ),
        (
            "for mail",
            odd(&authority, now, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection]),
            NotAnIdentity(SvidError::ExtendedKeyUsage),
        ),
    ];
    let member = identity(&authority, "parcel-booking");
    for (what, wrong, expected) in &exact {
        let (client, _server) = shake(&member, &[id("invoicing")], wrong).await;
        assert_eq!(failure(client), *expected, "a server: {what}");
    }
    for wrong in [
        "spiffe://samspill.local",
        "https://samspill.local/ns/craterate/sa/invoicing",
        "spiffe://samspill.local/ns/craterate/sa/invoicing?a",
        "spiffe://samspill.local/ns/craterate/sa/invoicing\0",
        "spiffe://samspill.local./ns/craterate/sa/invoicing/",
    ] {
        let (client, _server) = shake(&member, &[id("invoicing")], &names(&[wrong])).await;
        assert!(is_name_error(&failure(client)), "{wrong:?}");
    }
    // An authority's own certificate, and one that a member has signed.
    let key = KeyPair::from_pem(&authority.to_pem()[authority.to_pem().find("-----BEGIN PRIVATE").unwrap()..]).unwrap();
    let root = unchecked(authority.bundle().roots, &key, &authority.bundle());
    assert_eq!(failure(shake(&member, &[id("invoicing")], &root).await.0), NotAnIdentity(SvidError::Authority));

    // A server that is ours refuses them as well: it trusts only its own roots, whatever the client trusts.
    for (what, wrong, expected) in &exact {
        let trusting = identity(&authority, "invoicing");
        let (_client, server) = shake(wrong, &[id("invoicing")], &trusting).await;
        if matches!(*what, "another authority" | "another trust domain") {
            assert_eq!(
                failure(server),
                HandshakeFailure::Refused,
                "each distrusts the other; the client says so first"
            );
        } else {
            assert_eq!(failure(server), *expected, "a client: {what}");
        }
    }
}

#[tokio::test]
async fn t_03_a_member_that_is_somebody_else_is_told_apart() {
    let authority = authority();
    let (booking, statistics) = (identity(&authority, "parcel-booking"), identity(&authority, "statistics"));
    let (client, server) = shake(&booking, &[id("invoicing")], &statistics).await;
    let mismatch = HandshakeFailure::IdentityMismatch { expected: vec![id("invoicing")], found: id("statistics") };
    assert_eq!(failure(client), mismatch);
    assert_eq!(failure(server), HandshakeFailure::Refused);
    let (client, _server) = shake(&booking, &[], &statistics).await;
    assert!(matches!(failure(client), HandshakeFailure::IdentityMismatch { .. }), "nobody is expected");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let authority = authority();
    let invoicing = identity(&authority, "invoicing");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.bundle().roots[0].clone()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(crate::verifier::Verifier {
            trust_domain: "samspill.local".into(),
            anchors: roots.roots.into(),
            expected: None,
        }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let anonymous = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let (near, far) = duplex(1 << 16);
    let (_client, server) =
        tokio::join!(anonymous.connect("invoicing".try_into().unwrap(), near), invoicing.accept(far, ALPN));
    assert_eq!(failure(server), HandshakeFailure::NoCertificate);
}

#[tokio::test]
async fn t_05_a_protocol_is_agreed_on_or_nothing() {
    let authority = authority();
    let (booking, invoicing) = (identity(&authority, "parcel-booking"), identity(&authority, "invoicing"));
    let expected = [id("invoicing")];
    for (offered, spoken) in [(&[][..], ALPN), (ALPN, &[]), (&[&b"h2"[..]][..], &[&b"http/1.1"[..]][..])] {
        let (near, far) = duplex(1 << 16);
        let (client, server) = tokio::join!(booking.connect(near, &expected, offered), invoicing.accept(far, spoken));
        assert_eq!(failure(client), HandshakeFailure::NoAlpn, "{offered:?} {spoken:?}");
        assert_eq!(failure(server), HandshakeFailure::NoAlpn, "{offered:?} {spoken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_tls_fails() {
    let invoicing = identity(&authority(), "invoicing");
    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"GET / HTTP/1.1\r\nHost: invoicing\r\n\r\n").await.unwrap();
    assert_eq!(failure(invoicing.accept(far, ALPN).await), HandshakeFailure::Protocol);

    let (near, far) = duplex(1 << 16);
    drop(near);
    assert_eq!(failure(invoicing.accept(far, ALPN).await), HandshakeFailure::Closed);

    let (_silent, far) = duplex(1 << 16);
    assert_eq!(failure(invoicing.accept(far, ALPN).await), HandshakeFailure::Timeout);
}

#[test]
fn an_identity_is_checked_when_it_is_made() {
    let authority = authority();
    let SigningRequest { key, csr_der } = SigningRequest::new();
    let chain = authority.issue(&csr_der, &id("invoicing"), HOUR, clock::now()).unwrap();
    let make = |chain, key, bundle| Identity::new(chain, key, &bundle);

    assert!(matches!(make(vec![], key.clone_key(), authority.bundle()), Err(InvalidIdentity::Empty)));
    let root = authority.bundle().roots;
    assert!(matches!(
        make(root, key.clone_key(), authority.bundle()),
        Err(InvalidIdentity::Svid(SvidError::Authority))
    ));
    let other_key = SigningRequest::new().key;
    assert!(matches!(make(chain.clone(), other_key, authority.bundle()), Err(InvalidIdentity::Key(_))));
    let elsewhere = TrustBundle { trust_domain: "elsewhere.local".into(), ..authority.bundle() };
    assert!(matches!(make(chain.clone(), key.clone_key(), elsewhere), Err(InvalidIdentity::TrustDomain { .. })));
    let rootless = TrustBundle { roots: vec![b"nonsense".to_vec().into()], ..authority.bundle() };
    assert!(matches!(make(chain.clone(), key.clone_key(), rootless), Err(InvalidIdentity::Root(_))));

    let identity = make(chain, key, authority.bundle()).unwrap();
    assert_eq!(identity.id, id("invoicing"));
    assert!(!format!("{identity:?}").contains("key"), "no secret is printed");
}

#[test]
fn c_01_of_a_request_only_the_key_is_taken() {
    let authority = authority();
    let now = clock::now();
    let key = KeyPair::generate().unwrap();
    let mut greedy = authority::leaf(&SpiffeId::controller("samspill.local")).unwrap();
    greedy.subject_alt_names.push(SanType::DnsName("controller".try_into().unwrap()));
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let csr = greedy.serialize_request(&key).unwrap().der().to_vec();
    let issue = |csr: &[u8], id: &SpiffeId| authority.issue(csr, id, HOUR, now);

    let chain = issue(&csr, &id("invoicing")).unwrap();
    let leaf = Leaf::parse(&chain[0]).unwrap(); // which would refuse the rest
    assert_eq!(leaf.id, id("invoicing"));
    let about = |time: SystemTime, expected: SystemTime| {
        expected.duration_since(time).is_ok_and(|behind| behind <= Duration::from_secs(1)) // certificates count seconds
    };
    assert!(about(leaf.not_before, now - Duration::from_secs(10)) && about(leaf.not_after, now + HOUR));
    assert_ne!(chain, issue(&csr, &id("invoicing")).unwrap(), "serial numbers are not repeated");

    let mut forged = csr.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(issue(&forged, &id("invoicing")), Err(IssueError::Signature)));
    assert!(matches!(issue(&csr[1..], &id("invoicing")), Err(IssueError::Malformed)));
    assert!(matches!(issue(&[&csr[..], b"x"].concat(), &id("invoicing")), Err(IssueError::Malformed)));
    assert!(matches!(issue(&vec![0; 1 << 20], &id("invoicing")), Err(IssueError::Malformed)));
    let other_kind = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr_of_other_kind = CertificateParams::default().serialize_request(&other_kind).unwrap();
    assert!(matches!(issue(csr_of_other_kind.der(), &id("invoicing")), Err(IssueError::Key)));
    assert!(matches!(issue(&csr, &SpiffeId::edge("elsewhere.local")), Err(IssueError::TrustDomain(_))));
}

#[test]
fn no_certificate_outlives_its_authority() {
    let authority = authority();
    let SigningRequest { csr_der, .. } = SigningRequest::new();
    let chain = authority.issue(&csr_der, &id("invoicing"), Duration::MAX, clock::now()).unwrap();
    let roots = authority.bundle().roots;
    let (_, root) =
        <x509_parser::certificate::X509Certificate<'_> as x509_parser::prelude::FromDer<_>>::from_der(&roots[0])
            .unwrap();
    assert_eq!(Leaf::parse(&chain[0]).unwrap().not_after, SystemTime::from(root.validity().not_after.to_datetime()));
}

#[tokio::test]
async fn an_authority_survives_its_process() {
    let before = authority();
    let after = CertificateAuthority::from_pem(&before.to_pem()).unwrap();
    assert_eq!(after.bundle(), before.bundle());
    let (client, server) =
        shake(&identity(&before, "parcel-booking"), &[id("invoicing")], &identity(&after, "invoicing")).await;
    assert!(client.is_ok() && server.is_ok());

    let other = authority().to_pem();
    let (certificate, _) = other.split_at(other.find("-----BEGIN PRIVATE").unwrap());
    let pem = before.to_pem();
    let (_, key) = pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap());
    for damaged in ["", certificate, key, &format!("{certificate}{key}")] {
        CertificateAuthority::from_pem(damaged).unwrap_err();
    }
}

#[tokio::test]
async fn a_rotation_reaches_everybody() {
    let authority = authority();
    let store = IdentityStore::new();
    let mut watcher = store.subscribe();
    assert!(store.current().is_none());
    let (first, ()) = tokio::join!(store.ready(), async { store.set(identity(&authority, "invoicing")) });
    store.clone().set(identity(&authority, "invoicing"));
    let current = store.current().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &current));
    let seen = watcher.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(std::sync::Arc::ptr_eq(&seen, &current));
}
