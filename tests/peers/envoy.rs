//! A real Envoy follows our ADS over mutual TLS, and forwards over mutual TLS to whom we name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use samspill_identity::authority::CertificateAuthority;
use samspill_identity::{CertificateDer, Identity, PrivateKeyDer, SigningRequest};
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, PathMatch, PathRewrite};
use samspill_model::name::ServicePort;
use samspill_model::plan::Generation;
use samspill_model::snapshot::{Backend, RouteRule, RouteTable, Snapshot, WeightedBackend};
use samspill_net::{Listener, clock};
use samspill_testkit::wait_until;
use samspill_xds::render::Resources;
use samspill_xds::server::{Acks, AdsServer};
use tokio::sync::watch;
use tonic::service::Routes;
use tower::ServiceExt as _;

use super::envoy_process::Envoy;
use crate::web;

/// How Envoy names itself.
pub(super) const NODE: &str = "envoy-0";

#[tokio::test]
async fn envoy_follows_our_controller_and_forwards_over_mutual_tls() {
    let authority = CertificateAuthority::create("samspill.local", clock::now()).unwrap();
    let invoicing = id("invoicing");
    let first = backend(&authority, "invoicing", "first").await;
    let second = backend(&authority, "invoicing", "second").await;
    let controller = Controller::start(&authority).await;
    controller.publish(&snapshot(1, AppProtocol::Http1, &invoicing, first));
    let envoy = Envoy::start(&authority, controller.address).await;

    // Routes, a backend and its endpoints, by name; the route's rewrite; and who Envoy has proven to be.
    controller.reaches(1).await;
    let edge = envoy.listener().await;
    let reply = web::get(edge, "/api/invoicing/v1/invoices/1").await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "first: GET /v1/invoices/1 of envoy in HTTP/1.1"));
    let dump = envoy.admin("/config_dump?include_eds").await.body;
    for known in ["invoicing.craterate:80", "spiffe://samspill.local/ns/craterate/sa/invoicing", "RouteConfiguration"] {
        assert!(dump.contains(known), "{known} in {dump}");
    }
    assert!(dump.contains(&first.port().to_string()), "{first} in {dump}");

    // The backend moves, and now speaks HTTP/2.
    controller.publish(&snapshot(2, AppProtocol::Http2, &invoicing, second));
    controller.reaches(2).await;
    envoy.answers(edge, "second: GET /v1/invoices/1 of envoy in HTTP/2.0").await;

    // Who is there is not who should be: not a byte of the request reaches it.
    controller.publish(&snapshot(3, AppProtocol::Http2, &id("statistics"), second));
    controller.reaches(3).await;
    let is_refused = async || {
        let reply = web::get(edge, "/api/invoicing/v1/invoices/1").await.unwrap();
        reply.status == StatusCode::SERVICE_UNAVAILABLE
    };
    wait_until("Envoy refuses an identity that differs", is_refused).await;
    let failures = envoy.admin("/stats?filter=ssl.fail_verify_san").await.body;
    let name = "cluster.invoicing.craterate_80.ssl.fail_verify_san: ";
    let count = failures.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{failures}"));
    assert_ne!(count, "0");

    // Nothing that we have sent was refused, and what was right is right again.
    assert_eq!(controller.acks.refusals(), BTreeMap::new());
    controller.publish(&snapshot(4, AppProtocol::Http1, &invoicing, first));
    controller.reaches(4).await;
    envoy.answers(edge, "first: GET /v1/invoices/1 of envoy in HTTP/1.1").await;
}

pub(super) fn id(service_account: &str) -> SpiffeId {
    SpiffeId::new("samspill.local", "craterate", service_account)
}

/// A snapshot in which the edge sends `/api/invoicing` to one endpoint.
fn snapshot(generation: u64, protocol: AppProtocol, identity: &SpiffeId, endpoint: SocketAddr) -> Snapshot {
    let name = ServicePort::new("invoicing", "craterate", 80);
    let rule = RouteRule {
        path: PathMatch::Prefix("/api/invoicing".to_owned()),
        rewrite: Some(PathRewrite::ReplacePrefix("/".to_owned())),
        backends: vec![WeightedBackend { backend: name.clone(), weight: 1 }],
    };
    let identities = vec![identity.clone()];
    let backend = Backend { name: name.clone(), protocol, identities, endpoints: vec![endpoint] };
    Snapshot {
        generation: Generation(generation),
        backends: [(name, backend)].into(),
        edge: RouteTable { rules: vec![rule] },
        ..Snapshot::default()
    }
}

/// An instance's sidecar that answers by itself: who it is, what was asked, by whom, and in which HTTP.
async fn backend(authority: &CertificateAuthority, service_account: &str, name: &'static str) -> SocketAddr {
    let identity = identity(authority, &id(service_account));
    serve(identity, &[b"h2", b"http/1.1"], move |request: Request<Incoming>| async move {
        let peer = &request.extensions().get::<SpiffeId>().unwrap().service_account;
        let (method, path, version) = (request.method(), request.uri().path(), request.version());
        Ok(Response::new(Full::<Bytes>::from(format!("{name}: {method} {path} of {peer} in {version:?}"))))
    })
    .await
}

/// Our controller's end of ADS.
struct Controller {
    resources: watch::Sender<Option<Arc<Resources>>>,
    acks: Acks,
    address: SocketAddr,
}

impl Controller {
    async fn start(authority: &CertificateAuthority) -> Self {
        let (resources, newest) = watch::channel(None);
        let acks = Acks::new();
        let is_envoy = |peer: &SpiffeId, node: &str| *peer == id("envoy") && node == NODE;
        let ads = AdsServer::new(newest, acks.clone(), is_envoy).into_service();
        let router = Routes::new(ads).into_axum_router();
        let identity = identity(authority, &id("controller"));
        let address = serve(identity, &[b"h2"], move |request| router.clone().oneshot(request)).await;
        Self { resources, acks, address }
    }

    fn publish(&self, snapshot: &Snapshot) {
        self.resources.send_replace(Some(Arc::new(Resources::render(snapshot))));
    }

    /// Waits until Envoy has acknowledged a generation.
    async fn reaches(&self, generation: u64) {
        let acks = self.acks.subscribe();
        let is_at = async || acks.borrow().get(NODE) == Some(&Generation(generation));
        wait_until(&format!("Envoy is at generation {generation}"), is_at).await;
    }
}

/// Serves those who prove an identity, which is in their requests' extensions.
async fn serve<S, F, B>(identity: Identity, alpn: &'static [&'static [u8]], service: S) -> SocketAddr
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr();
    let identity = Arc::new(identity);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await;
            let (identity, service) = (Arc::clone(&identity), service.clone());
            tokio::spawn(async move {
                // Envoy may refuse us: that is what one phase of the test is about.
                let Ok((stream, peer)) = identity.accept(stream, alpn).await else { return };
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(peer.id.clone());
                    service(request)
                });
                let server = auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

fn identity(authority: &CertificateAuthority, id: &SpiffeId) -> Identity {
    let (chain, key) = issue(authority, id);
    Identity::new(chain, key, &authority.bundle()).unwrap()
}

/// A certificate chain and its key.
pub(super) fn issue(
    authority: &CertificateAuthority,
    id: &SpiffeId,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let request = SigningRequest::new();
    let chain = authority.issue(&request.csr_der, id, Duration::from_secs(3600), clock::now()).unwrap();
    (chain, request.key)
}
