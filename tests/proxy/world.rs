//! A mesh of which the test owns all but the proxies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use samspill_identity::authority::CertificateAuthority;
use samspill_identity::{Identity, SigningRequest};
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, PathMatch};
use samspill_model::name::{InstanceName, ServicePort};
use samspill_model::snapshot::{Backend, Inbound, InboundPort, RouteRule, RouteTable, Snapshot, WeightedBackend};
use samspill_net::clock;
use samspill_observability::traces::{self, Store};
use samspill_xds::certificates::CertificatesServer;
use samspill_xds::render::Resources;
use samspill_xds::server::{Acks, AdsServer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::watch;
use tonic::service::Routes;

use super::control::{self, Signer};
use super::sidecar::{Sidecar, Start};

pub(super) const TRUST_DOMAIN: &str = "samspill.local";

/// Of every workload.
pub(super) const NAMESPACE: &str = "shop";

/// Of every app.
pub(super) const CONTAINER_PORT: u16 = 8080;

/// The control plane, the authority, and where spans go.
pub(super) struct World {
    pub(super) authority: Arc<CertificateAuthority>,
    pub(super) traces: Arc<Store>,
    tokens: Arc<Mutex<BTreeMap<String, SpiffeId>>>,
    snapshot: Mutex<Snapshot>,
    resources: watch::Sender<Option<Arc<Resources>>>,
    acks: Acks,
    folder: TempDir,
    ads: SocketAddr,
    otlp: SocketAddr,
    /// Bound and not listened on: whoever connects there is refused at once.
    nobody: TcpSocket,
    started: AtomicU32,
}

impl World {
    /// Certificates outlive the test.
    pub(super) async fn new() -> Self {
        Self::with_certificates_for(Duration::from_secs(3600)).await
    }

    pub(super) async fn with_certificates_for(lifetime: Duration) -> Self {
        let authority = Arc::new(CertificateAuthority::create(TRUST_DOMAIN, clock::now()).unwrap());
        let folder = tempfile::Builder::new().prefix("samspill-").tempdir().unwrap();
        let tokens = Arc::default();
        let signer = Signer { authority: Arc::clone(&authority), lifetime, tokens: Arc::clone(&tokens) };
        let resources = watch::Sender::new(None);
        let acks = Acks::new();

        let first = Routes::new(CertificatesServer::new(signer));
        let bootstrap = UnixListener::bind(folder.path().join("bootstrap.sock")).unwrap();
        tokio::spawn(control::serve_bootstrap(bootstrap, first.clone()));

        let ads_server = AdsServer::new(resources.subscribe(), acks.clone(), |_peer, _node| true);
        let controller = SpiffeId::controller(TRUST_DOMAIN);
        let controller = Arc::new(issue(&authority, &controller, Duration::from_secs(3600)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ads = listener.local_addr().unwrap();
        tokio::spawn(control::serve_ads(listener, controller, first.add_service(ads_server.into_service())));

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let otlp = listener.local_addr().unwrap();
        let traces = Arc::new(Store::new());
        tokio::spawn(traces::receive(listener, Arc::clone(&traces), None));

        let nobody = TcpSocket::new_v4().unwrap();
        nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let snapshot = Mutex::default();
        let started = AtomicU32::new(0);
        Self { authority, traces, tokens, snapshot, resources, acks, folder, ads, otlp, nobody, started }
    }

    /// An address that refuses every connection.
    pub(super) fn nobody(&self) -> SocketAddr {
        self.nobody.local_addr().unwrap()
    }

    pub(super) fn id(account: &str) -> SpiffeId {
        SpiffeId::new(TRUST_DOMAIN, NAMESPACE, account)
    }

    /// A member of the mesh, for the test to be one itself.
    pub(super) fn identity(&self, account: &str) -> Identity {
        issue(&self.authority, &Self::id(account), Duration::from_secs(3600))
    }

    /// Tells the proxies something else.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.snapshot.lock().unwrap();
        change(&mut snapshot);
        snapshot.generation = snapshot.generation.next();
        self.resources.send_replace(Some(Arc::new(Resources::render(&snapshot))));
    }

    /// Waits until every connected proxy has applied what was published last.
    pub(super) async fn acknowledged(&self) {
        let newest = self.snapshot.lock().unwrap().generation;
        let mut acks = self.acks.subscribe();
        acks.wait_for(|proxies| proxies.values().all(|generation| *generation >= newest)).await.unwrap();
    }

    /// A service on port 80 that `account` provides at `endpoints`.
    pub(super) fn service(&self, name: &str, protocol: AppProtocol, account: &str, endpoints: &[SocketAddr]) {
        let name = ServicePort::new(name, NAMESPACE, 80);
        let mut endpoints = endpoints.to_vec();
        endpoints.sort_unstable();
        let identities = vec![Self::id(account)];
        let to_itself = vec![WeightedBackend { backend: name.clone(), weight: 1 }];
        let rule = RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends: to_itself };
        self.publish(|snapshot| {
            snapshot.services.insert(name.clone(), RouteTable { rules: vec![rule] });
            snapshot.backends.insert(name.clone(), Backend { name, protocol, identities, endpoints });
        });
    }

    /// A sidecar beside nothing, for its way out.
    pub(super) async fn caller(&self, account: &str) -> Sidecar {
        self.sidecar(account, self.nobody(), AppProtocol::Http1).await
    }

    /// A sidecar beside an app, ready.
    pub(super) async fn sidecar(&self, account: &str, app: SocketAddr, protocol: AppProtocol) -> Sidecar {
        let sidecar = self.start(account);
        self.publish(|snapshot| {
            let ports = BTreeMap::from([(CONTAINER_PORT, InboundPort { app, protocol })]);
            snapshot.inbound.insert(sidecar.instance.clone(), Inbound { ports });
        });
        sidecar.ready().await;
        sidecar
    }

    /// An edge that sends every stranger's request to one service, ready.
    pub(super) async fn edge(&self, service: &str) -> Sidecar {
        let to_one = vec![WeightedBackend { backend: ServicePort::new(service, NAMESPACE, 80), weight: 1 }];
        let rule = RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends: to_one };
        self.publish(|snapshot| snapshot.edge = RouteTable { rules: vec![rule] });
        let edge = self.start_as("edge", true);
        edge.ready().await;
        edge
    }

    /// A sidecar that has not been told what it is for.
    pub(super) fn start(&self, account: &str) -> Sidecar {
        self.start_as(account, false)
    }

    fn start_as(&self, account: &str, is_edge: bool) -> Sidecar {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let token = format!("token-{number}");
        self.tokens.lock().unwrap().insert(token.clone(), Self::id(account));
        Sidecar::start(Start {
            account,
            instance: InstanceName(format!("{account}.{NAMESPACE}-{number}")),
            token,
            controller: self.ads,
            otlp: self.otlp,
            folder: self.folder.path(),
            is_edge,
        })
    }
}

/// An identity of any lifetime.
pub(super) fn issue(authority: &CertificateAuthority, id: &SpiffeId, lifetime: Duration) -> Identity {
    let SigningRequest { key, csr_der } = SigningRequest::new();
    let chain = authority.issue(&csr_der, id, lifetime, clock::now()).unwrap();
    Identity::new(chain, key, &authority.bundle()).unwrap()
}
