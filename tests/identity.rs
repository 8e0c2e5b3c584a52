//! Who may talk to whom: each refusal, against a real sidecar; and certificates that are renewed under load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use samspill_identity::authority::CertificateAuthority;
use samspill_identity::{Identity, SigningRequest};
use samspill_model::identity::SpiffeId;
use samspill_net::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ledger;
use crate::load::Load;
use crate::mesh::Mesh;
use crate::web;

const ALPN: &[&[u8]] = &[b"http/1.1"];

#[tokio::test]
async fn a_sidecar_refuses_who_cannot_prove_itself() {
    let mesh = Mesh::craterate().await;
    let sidecar = inbound(&mesh, "invoicing").await;
    let invoicing = SpiffeId::new("samspill.local", "craterate", "invoicing");

    // In the clear: not a byte of HTTP comes back.
    let mut plain = TcpStream::connect(sidecar).await.unwrap();
    plain.write_all(b"GET /v1/invoices/x HTTP/1.1\r\nhost: invoicing\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The sidecar may also reset the connection.
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");

    // With a certificate of our own making: another trust domain, then our trust domain's name but another authority.
    for domain in ["elsewhere.local", "samspill.local"] {
        let authority = CertificateAuthority::create(domain, clock::now()).unwrap();
        let stranger = identity(&authority, &SpiffeId::new(domain, "craterate", "parcel-booking"));
        let refused = ask(&stranger, sidecar, &invoicing).await;
        assert!(refused.is_err(), "{domain}: {refused:?}");
    }
}

#[tokio::test]
async fn certificates_are_renewed_every_few_seconds_and_no_request_notices() {
    let craterate = crate::mesh::root().join("examples/craterate");
    let mesh = Mesh::up(&craterate, &["--leaf-ttl", "6s"]).await;
    let load = Load::begin(mesh.edge);
    // Every certificate has been replaced, twice.
    for _ in 0..2 {
        let before = issued(&mesh);
        let all_new = async || {
            let now = issued(&mesh);
            before.iter().all(|(identity, count)| now[identity] >= count + replicas(identity))
        };
        samspill_testkit::wait_until("every certificate has been renewed", all_new).await;
        load.progress(10).await;
    }
    let outcome = load.end().await;
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
    ledger::check(&mesh, &outcome.ids).await;
}

/// How many certificates each identity has been given.
fn issued(mesh: &Mesh) -> BTreeMap<String, u64> {
    let certificates = mesh.json(&["get", "certificates"]);
    let items = certificates.as_array().unwrap().iter();
    items.map(|item| (item["identity"].as_str().unwrap().to_owned(), item["issued"].as_u64().unwrap())).collect()
}

/// How many proxies share an identity.
fn replicas(identity: &str) -> u64 {
    if identity.ends_with("/edge") { 1 } else { 2 }
}

/// Where the mesh reaches the first instance of a service.
async fn inbound(mesh: &Mesh, service: &str) -> SocketAddr {
    let services = mesh.json(&["get", "services"]);
    let found = services.as_array().unwrap().iter().find(|item| item["service"] == service).unwrap();
    found["endpoints"][0].as_str().unwrap().parse().unwrap()
}

fn identity(authority: &CertificateAuthority, id: &SpiffeId) -> Identity {
    let request = SigningRequest::new();
    let chain = authority.issue(&request.csr_der, id, Duration::from_secs(60), clock::now()).unwrap();
    Identity::new(chain, request.key, &authority.bundle()).unwrap()
}

/// Handshake and one request; the client's own check of the server is left out by expecting who is there.
async fn ask(identity: &Identity, address: SocketAddr, expected: &SpiffeId) -> web::Result<web::Reply> {
    let stream = TcpStream::connect(address).await?;
    let (stream, _peer) = identity.connect(stream, std::slice::from_ref(expected), ALPN).await?;
    web::over(stream, Request::get("/v1/invoices/x").header("host", "invoicing").body(String::new())?).await
}
