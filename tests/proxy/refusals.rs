//! Whom a sidecar does not serve.

use http::StatusCode;
use rcgen::KeyUsagePurpose;
use samspill_identity::authority::CertificateAuthority;
use samspill_model::intent::AppProtocol;
use samspill_net::clock;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::App;
use super::call::{HTTP1, connect};
use super::forge::{Forged, answer_to, authority_of_others, forge, uri, valid};
use super::world::{TRUST_DOMAIN, World};
use crate::web;

const REQUEST: &str = "GET /v1/invoices/1 HTTP/1.1\r\nhost: invoicing\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_caller_that_cannot_prove_itself_gets_not_a_byte() {
    let world = World::new().await;
    let app = App::echo().await;
    let sidecar = world.sidecar("invoicing", app.address, AppProtocol::Http1).await;

    // In the clear.
    let mut plain = TcpStream::connect(sidecar.inbound).await.unwrap();
    plain.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The sidecar may also reset the connection.
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.windows(4).any(|window| window == b"HTTP"), "{answer:?}");

    // The same request in TLS. The honest certificate shows that it is the alteration that is refused.
    assert!(
        answer_to(sidecar.inbound, Some(forge(&world.authority, |_| ())), REQUEST).await.starts_with(b"HTTP/1.1 200")
    );
    let refused = forgeries(&world.authority);
    let count = u64::try_from(refused.len()).unwrap();
    for (what, certificate) in refused {
        let answer = answer_to(sidecar.inbound, certificate, REQUEST).await;
        assert!(answer.is_empty(), "{what}: {}", String::from_utf8_lossy(&answer));
    }

    // The app has seen the honest one only, and the next honest one is served.
    assert_eq!(app.seen().len(), 1);
    let stream = connect(&world.identity("parcel-booking"), sidecar.inbound, "invoicing", HTTP1).await.unwrap();
    let request = http::Request::get("/").header("host", "invoicing").body("body".to_owned()).unwrap();
    let reply = web::over(stream, request).await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "body"));
    assert_eq!(app.seen().len(), 2);

    // Each is counted: these, and the one in the clear.
    let labels = |result| [("proxy", "inbound"), ("result", result)];
    let failed = sidecar.metric("samspill_handshakes_total", &labels("failed")).await;
    assert_eq!(failed, count + 1);
    assert_eq!(sidecar.metric("samspill_handshakes_total", &labels("ok")).await, 2);
}

fn forgeries(authority: &CertificateAuthority) -> Vec<(&'static str, Option<Forged>)> {
    let now = clock::now();
    let hour = Duration::from_secs(3600);
    let stranger = CertificateAuthority::create(TRUST_DOMAIN, now).unwrap();
    let elsewhere = CertificateAuthority::create("elsewhere.local", now).unwrap();
    let own = World::id("parcel-booking").to_string();
    let named = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| uri(name)).collect();
        Some(forge(authority, |params| params.subject_alt_names = names))
    };
    let foreign = "spiffe://elsewhere.local/ns/shop/sa/parcel-booking";
    let of_elsewhere = forge(&elsewhere, |params| params.subject_alt_names = vec![uri(foreign)]);
    let for_signing = [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    vec![
        ("no certificate", None),
        ("another trust domain", Some(of_elsewhere)),
        ("another authority of the same name", Some(forge(&stranger, |_| ()))),
        ("our authority, another trust domain", named(&[foreign])),
        ("expired", Some(forge(authority, |params| valid(params, now - 2 * hour, now - hour)))),
        ("not valid yet", Some(forge(authority, |params| valid(params, now + hour, now + 2 * hour)))),
        ("no URI", named(&[])),
        ("two URIs", named(&[&own, "spiffe://samspill.local/ns/shop/sa/invoicing"])),
        ("another shape of path", named(&["spiffe://samspill.local/parcel-booking"])),
        ("another scheme", named(&["https://samspill.local/ns/shop/sa/parcel-booking"])),
        ("an authority's", Some(forge(authority, |params| params.is_ca = authority_of_others()))),
        ("a key for signing", Some(forge(authority, |params| params.key_usages = for_signing.to_vec()))),
        ("no key usage", Some(forge(authority, |params| params.key_usages.clear()))),
    ]
}
