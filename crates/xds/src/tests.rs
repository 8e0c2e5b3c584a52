//! A controller's end and proxies' ends in one process, over pipes that can be cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use hyper_util::rt::TokioIo;
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, PathMatch};
use samspill_model::name::{InstanceName, ServicePort};
use samspill_model::plan::Generation;
use samspill_model::snapshot::{Backend, Inbound, InboundPort, RouteRule, RouteTable, Snapshot, WeightedBackend};
use samspill_net::task;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request};

use crate::client::{self, RouteKey, Update, Wanted};
use crate::kind::Kind;
use crate::messages::{Endpoints, pack};
use crate::render::Resources;
use crate::server::{Acks, AdsServer};

/// Only a hang takes this long.
const HANG: Duration = Duration::from_secs(30);

const NODE: &str = "booking-0";

/// A controller's ADS server whose every caller is `booking`.
struct Controller {
    resources: watch::Sender<Option<Arc<Resources>>>,
    acks: Acks,
    network: Network,
}

/// Where proxies connect to.
#[derive(Clone)]
struct Network {
    accept: mpsc::UnboundedSender<Result<DuplexStream, std::io::Error>>,
    pipes: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Controller {
    fn start() -> Self {
        let (resources, newest) = watch::channel(None);
        let acks = Acks::new();
        let own = |peer: &SpiffeId, node: &str| peer.service_account == "booking" && ["edge", NODE].contains(&node);
        let ads = AdsServer::new(newest, acks.clone(), own).into_service();
        let identified = InterceptedService::new(ads, |mut request: Request<()>| {
            request.extensions_mut().insert(SpiffeId::new("samspill.local", "shop", "booking"));
            Ok(request)
        });
        let (accept, incoming) = mpsc::unbounded_channel();
        let server = Server::builder().add_service(identified);
        task::spawn("ads-test", server.serve_with_incoming(UnboundedReceiverStream::new(incoming)));
        Self { resources, acks, network: Network { accept, pipes: Arc::default() } }
    }

    fn publish(&self, snapshot: &Snapshot) {
        self.resources.send_replace(Some(Arc::new(Resources::render(snapshot))));
    }

    /// Waits until the proxy is at a generation.
    async fn reaches(&self, node: &str, generation: u64) {
        let mut acks = self.acks.subscribe();
        let is_at = |at: &BTreeMap<String, Generation>| at.get(node) == Some(&Generation(generation));
        timeout(HANG, acks.wait_for(is_at)).await.expect("the generation is reached").unwrap();
    }
}

impl Network {
    fn channel(&self) -> Channel {
        let network = self.clone();
        Endpoint::from_static("http://controller").connect_with_connector_lazy(tower::service_fn(move |_uri| {
            let network = network.clone();
            async move { network.connect().map(TokioIo::new) }
        }))
    }

    fn connect(&self) -> Result<DuplexStream, std::io::Error> {
        let (near, mut near_end) = duplex(64 * 1024);
        let (mut far_end, far) = duplex(64 * 1024);
        let pipe = task::spawn("pipe", async move { drop(copy_bidirectional(&mut near_end, &mut far_end).await) });
        self.pipes.lock().unwrap().push(pipe);
        self.accept.send(Ok(far)).map_err(|_gone| std::io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }

    /// Loses every connection.
    fn cut(&self) {
        self.pipes.lock().unwrap().drain(..).for_each(|pipe| pipe.abort());
    }
}

/// A proxy's client.
struct Proxy {
    wanted: mpsc::UnboundedSender<Wanted>,
    updates: mpsc::UnboundedReceiver<Update>,
    task: JoinHandle<std::convert::Infallible>,
}

impl Proxy {
    fn start(controller: &Controller, node: &str) -> Self {
        let (wanted, wishes) = mpsc::unbounded_channel();
        let (apply, updates) = mpsc::unbounded_channel();
        let network = controller.network.clone();
        let run =
            client::run(move || network.channel(), node.to_owned(), wishes, move |update| drop(apply.send(update)));
        Self { wanted, updates, task: task::spawn("proxy", run) }
    }

    fn want(&self, wanted: Wanted) {
        self.wanted.send(wanted).unwrap();
    }

    async fn update(&mut self) -> Update {
        timeout(HANG, self.updates.recv()).await.expect("an update comes").unwrap()
    }

    #[track_caller]
    fn no_update(&mut self) {
        assert_eq!(self.updates.try_recv().ok(), None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(service: &str) -> ServicePort {
    ServicePort::new(service, "shop", 80)
}

fn routes(backends: &[&str]) -> RouteTable {
    let backends = backends.iter().map(|backend| WeightedBackend { backend: name(backend), weight: 1 }).collect();
    RouteTable { rules: vec![RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends }] }
}

fn backend(service: &str, ports: &[u16]) -> Backend {
    Backend {
        name: name(service),
        protocol: AppProtocol::Http1,
        identities: vec![SpiffeId::new("samspill.local", "shop", service)],
        endpoints: ports.iter().map(|&port| ([127, 0, 0, 1], port).into()).collect(),
    }
}

/// A snapshot in which each service leads to the backend of its name.
fn snapshot(generation: u64, backends: &[Backend]) -> Snapshot {
    Snapshot {
        generation: Generation(generation),
        services: backends.iter().map(|backend| (backend.name.clone(), routes(&[&backend.name.service]))).collect(),
        backends: backends.iter().map(|backend| (backend.name.clone(), backend.clone())).collect(),
        ..Snapshot::default()
    }
}

fn told(service: &str, table: Option<RouteTable>) -> Update {
    Update::Routes(RouteKey::Service(name(service)), table)
}

/// A controller with `invoicing`, and a proxy that follows it.
async fn following() -> (Controller, Proxy) {
    let controller = Controller::start();
    controller.publish(&snapshot(1, &[backend("invoicing", &[1])]));
    let mut proxy = Proxy::start(&controller, NODE);
    proxy.want(Wanted::Service(name("invoicing")));
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), Some(backend("invoicing", &[1]))));
    assert_eq!(proxy.update().await, told("invoicing", Some(routes(&["invoicing"]))));
    controller.reaches(NODE, 1).await;
    (controller, proxy)
}

#[tokio::test]
async fn a_service_is_followed_from_its_name_to_its_endpoints() {
    let (controller, mut proxy) = following().await;
    controller.publish(&snapshot(2, &[backend("invoicing", &[1, 2])]));
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), Some(backend("invoicing", &[1, 2]))));
    controller.reaches(NODE, 2).await;
    proxy.no_update();
}

#[tokio::test]
async fn a_generation_that_changes_nothing_is_acknowledged_at_once() {
    let (controller, mut proxy) = following().await;
    controller.publish(&snapshot(2, &[backend("invoicing", &[1]), backend("tracking", &[9])]));
    controller.reaches(NODE, 2).await;
    proxy.no_update();
}

#[tokio::test]
async fn a_name_that_does_not_exist_may_appear_and_vanish() {
    let (controller, mut proxy) = following().await;
    proxy.want(Wanted::Service(name("tracking")));
    assert_eq!(proxy.update().await, told("tracking", None));
    controller.publish(&snapshot(2, &[backend("invoicing", &[1]), backend("tracking", &[9])]));
    assert_eq!(proxy.update().await, Update::Backend(name("tracking"), Some(backend("tracking", &[9]))));
    assert_eq!(proxy.update().await, told("tracking", Some(routes(&["tracking"]))));
    controller.publish(&snapshot(3, &[backend("invoicing", &[1])]));
    assert_eq!(proxy.update().await, told("tracking", None));
    assert_eq!(proxy.update().await, Update::Backend(name("tracking"), None));
    controller.reaches(NODE, 3).await;
    proxy.no_update();
}

#[tokio::test]
async fn new_routes_come_after_their_backends_and_old_backends_leave_after_them() {
    let (controller, mut proxy) = following().await;
    let mut next = snapshot(2, &[backend("invoicing", &[1]), backend("tracking", &[9])]);
    next.services.insert(name("invoicing"), routes(&["tracking"]));
    controller.publish(&next);
    assert_eq!(proxy.update().await, Update::Backend(name("tracking"), Some(backend("tracking", &[9]))));
    assert_eq!(proxy.update().await, told("invoicing", Some(routes(&["tracking"]))));
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), None));
    controller.reaches(NODE, 2).await;
}

#[tokio::test]
async fn routes_to_a_backend_that_does_not_exist_are_told() {
    let (controller, mut proxy) = following().await;
    let mut next = snapshot(2, &[backend("invoicing", &[1])]);
    next.services.insert(name("invoicing"), routes(&["invoicing", "lost"]));
    controller.publish(&next);
    assert_eq!(proxy.update().await, Update::Backend(name("lost"), None));
    assert_eq!(proxy.update().await, told("invoicing", Some(routes(&["invoicing", "lost"]))));
    controller.reaches(NODE, 2).await;
}

#[tokio::test]
async fn a_lost_stream_costs_nothing_and_misses_nothing() {
    let (controller, mut proxy) = following().await;
    controller.network.cut();
    proxy.want(Wanted::Service(name("tracking")));
    assert_eq!(proxy.update().await, told("tracking", None));
    controller.reaches(NODE, 1).await;
    proxy.no_update();

    controller.publish(&snapshot(2, &[backend("invoicing", &[2])]));
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), Some(backend("invoicing", &[2]))));
    controller.reaches(NODE, 2).await;

    // What changes while nobody is there is told afterwards, removals included.
    controller.network.cut();
    controller.publish(&snapshot(3, &[backend("tracking", &[9])]));
    let mut updates = [proxy.update().await, proxy.update().await, proxy.update().await, proxy.update().await];
    updates.sort_by_key(|update| format!("{update:?}"));
    assert_eq!(
        updates,
        [
            Update::Backend(name("invoicing"), None),
            Update::Backend(name("tracking"), Some(backend("tracking", &[9]))),
            told("invoicing", None),
            told("tracking", Some(routes(&["tracking"]))),
        ]
    );
    controller.reaches(NODE, 3).await;
}

#[tokio::test]
async fn what_is_refused_leaves_the_last_good_in_force() {
    let (controller, mut proxy) = following().await;
    let invoicing = name("invoicing").to_string();
    let mut bad = Resources::render(&snapshot(2, &[backend("invoicing", &[2])]));
    bad.tamper(Kind::Cluster, &invoicing, pack(&invoicing, &Endpoints(Vec::new())));
    controller.resources.send_replace(Some(Arc::new(bad)));
    // The endpoints are good.
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), Some(backend("invoicing", &[2]))));
    controller.publish(&snapshot(3, &[backend("invoicing", &[3])]));
    assert_eq!(proxy.update().await, Update::Backend(name("invoicing"), Some(backend("invoicing", &[3]))));
    controller.reaches(NODE, 3).await;
    assert!(controller.acks.refusals().is_empty());
}

#[tokio::test]
async fn a_refusal_is_seen_by_the_controller_and_holds_the_generation() {
    let (controller, mut proxy) = following().await;
    let invoicing = name("invoicing").to_string();
    let mut bad = Resources::render(&snapshot(2, &[backend("invoicing", &[1]), backend("tracking", &[9])]));
    bad.tamper(Kind::Routes, &invoicing, pack(&invoicing, &Endpoints(Vec::new())));
    controller.resources.send_replace(Some(Arc::new(bad)));
    // Later requests are answered later: once this has been told, the refusal has been heard.
    let refusal = async {
        loop {
            if let Some(reason) = controller.acks.refusals().remove(NODE) {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    let reason = timeout(HANG, refusal).await.expect("the refusal is heard");
    assert!(reason.contains("RouteConfiguration `invoicing.shop:80`: the payload is a"), "{reason}");
    proxy.want(Wanted::Service(name("tracking")));
    assert_eq!(proxy.update().await, Update::Backend(name("tracking"), Some(backend("tracking", &[9]))));
    assert_eq!(proxy.update().await, told("tracking", Some(routes(&["tracking"]))));
    assert_eq!(controller.acks.subscribe().borrow().get(NODE), Some(&Generation(1)));
}

#[tokio::test]
async fn a_sidecar_is_given_its_own_inbound_only() {
    let controller = Controller::start();
    let mut proxy = Proxy::start(&controller, NODE);
    proxy.want(Wanted::Inbound(InstanceName(NODE.to_owned())));
    proxy.want(Wanted::Inbound(InstanceName("booking-1".to_owned())));
    let port = InboundPort { app: ([127, 0, 0, 1], 4000).into(), protocol: AppProtocol::Http2 };
    let inbound = Inbound { ports: [(8080, port)].into() };
    let mut next = snapshot(1, &[]);
    next.inbound = [NODE, "booking-1"].map(|name| (InstanceName(name.to_owned()), inbound.clone())).into();
    // Nothing has been said before this: the stream waits for the first snapshot.
    controller.publish(&next);
    assert_eq!(proxy.update().await, Update::Inbound(InstanceName(NODE.to_owned()), Some(inbound)));
    assert_eq!(proxy.update().await, Update::Inbound(InstanceName("booking-1".to_owned()), None));
    controller.reaches(NODE, 1).await;
}

#[tokio::test]
async fn the_edge_follows_its_routes() {
    let controller = Controller::start();
    let mut next = snapshot(1, &[backend("booking", &[1])]);
    next.edge = routes(&["booking"]);
    controller.publish(&next);
    let mut proxy = Proxy::start(&controller, "edge");
    proxy.want(Wanted::Edge);
    assert_eq!(proxy.update().await, Update::Backend(name("booking"), Some(backend("booking", &[1]))));
    assert_eq!(proxy.update().await, Update::Routes(RouteKey::Edge, Some(routes(&["booking"]))));
    controller.reaches("edge", 1).await;
}

#[tokio::test]
async fn nobody_speaks_as_another_node() {
    let controller = Controller::start();
    controller.publish(&snapshot(1, &[]));
    let mut client = AggregatedDiscoveryServiceClient::new(controller.network.channel());
    let node = Node { id: "invoicing-0".to_owned(), ..Node::default() };
    let request = DeltaDiscoveryRequest { node: Some(node), ..DeltaDiscoveryRequest::default() };
    let mut stream = client.delta_aggregated_resources(tokio_stream::once(request)).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::PermissionDenied);
    assert!(controller.acks.subscribe().borrow().is_empty());
}

#[tokio::test]
async fn the_state_of_the_world_is_not_served() {
    let controller = Controller::start();
    let mut client = AggregatedDiscoveryServiceClient::new(controller.network.channel());
    let request = tokio_stream::once(DiscoveryRequest::default());
    let status = client.stream_aggregated_resources(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

/// More than tonic's default limit of 4 MiB.
#[tokio::test]
async fn a_large_table_passes() {
    let controller = Controller::start();
    let mut next = snapshot(1, &[backend("booking", &[1])]);
    let rule = |n: usize| RouteRule {
        path: PathMatch::Exact(format!("/{n}/{}", "x".repeat(10_000))),
        rewrite: None,
        backends: vec![WeightedBackend { backend: name("booking"), weight: 1 }],
    };
    next.edge = RouteTable { rules: (0..600).map(rule).collect() };
    controller.publish(&next);
    let mut proxy = Proxy::start(&controller, "edge");
    proxy.want(Wanted::Edge);
    assert_eq!(proxy.update().await, Update::Backend(name("booking"), Some(backend("booking", &[1]))));
    assert_eq!(proxy.update().await, Update::Routes(RouteKey::Edge, Some(next.edge)));
}
