//! A whole controller in this process, a runtime that only pretends, and proxies that are real ADS clients.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use samspill_controller::{Config, Flags, RunError, serve};
use samspill_identity::{CertificateDer, Identity, SigningRequest, TrustBundle};
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{
    AppProtocol, ContainerPort, EdgeRoute, Intent, PathMatch, Program, Service, ServicePortSpec, TargetPort,
    WeightedService, Workload,
};
use samspill_model::inventory::{Instance, Inventory, Phase, PortAddresses, ProxyProcess};
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::name::{ServicePort, WorkloadName};
use samspill_model::plan::{InstanceState, Plan};
use samspill_model::snapshot::Backend;
use samspill_xds::certificates::{CertificatesClient, SignRequest, SignResponse};
use samspill_xds::client::{Update, Wanted};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

pub(crate) const DOMAIN: &str = "samspill.local";

/// Only ends a test that has failed already.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

/// The sockets, as the runtime keeps them while controllers come and go, and the controller that has them now.
pub(crate) struct Mesh {
    pub(crate) folder: TempDir,
    ads: TcpListener,
    bootstrap: UnixListener,
    api: UnixListener,
    leaf_ttl: Duration,
    controller: Option<Controller>,
}

struct Controller {
    thread: JoinHandle<Option<Result<(), RunError>>>,
    kill: oneshot::Sender<()>,
}

/// The runtime's end of the line.
pub(crate) struct Runtime {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::with_leaf_ttl(Duration::from_secs(3600))
    }

    pub(crate) fn with_leaf_ttl(leaf_ttl: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            ads: TcpListener::bind(("127.0.0.1", 0)).unwrap(),
            bootstrap: UnixListener::bind(folder.path().join("bootstrap.sock")).unwrap(),
            api: UnixListener::bind(folder.path().join("controller.sock")).unwrap(),
            folder,
            leaf_ttl,
            controller: None,
        }
    }

    /// Starts a controller with copies of the sockets, as the runtime does.
    pub(crate) fn start(&mut self) -> Runtime {
        self.start_in(DOMAIN)
    }

    pub(crate) fn start_in(&mut self, trust_domain: &str) -> Runtime {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let config = Config {
            flags: Flags {
                state_dir: self.folder.path().to_owned(),
                trust_domain: trust_domain.to_owned(),
                leaf_ttl: self.leaf_ttl,
            },
            ads: self.ads.try_clone().unwrap(),
            bootstrap: self.bootstrap.try_clone().unwrap(),
            api: self.api.try_clone().unwrap(),
            runtime: theirs,
        };
        let (kill, killed) = oneshot::channel();
        // Its own tokio runtime, which takes all its tasks and sockets with it, as the end of a process does.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = serve(config) => Some(outcome),
                    _ = killed => None,
                }
            });
            runtime.shutdown_timeout(GENEROUS);
            outcome
        });
        self.controller = Some(Controller { thread, kill });
        ours.set_nonblocking(true).unwrap();
        let (reader, writer) = tokio::net::UnixStream::from_std(ours).unwrap().into_split();
        Runtime { lines: BufReader::new(reader).lines(), writer }
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        let Controller { thread, kill } = self.controller.take().unwrap();
        kill.send(()).unwrap();
        assert!(thread.join().unwrap().is_none(), "it had ended before");
    }

    /// Waits for its own end.
    pub(crate) async fn ended(&mut self) -> Result<(), RunError> {
        let Controller { thread, kill } = self.controller.take().unwrap();
        let outcome = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        drop(kill);
        outcome.unwrap()
    }

    pub(crate) fn ads_address(&self) -> SocketAddr {
        self.ads.local_addr().unwrap()
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A first certificate, by a token.
    pub(crate) async fn bootstrap(&self, token: &str) -> Result<Arc<Identity>, Status> {
        let request = SigningRequest::new();
        let answer = self.bootstrap_with(token, &request.csr_der).await?;
        Ok(identity(answer, request))
    }

    pub(crate) async fn bootstrap_with(&self, token: &str, csr_der: &[u8]) -> Result<SignResponse, Status> {
        let path = self.socket("bootstrap.sock");
        let channel = Endpoint::from_static("http://controller").connect_with_connector_lazy(service_fn(move |_uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        }));
        sign(channel, token, csr_der).await
    }

    /// The next certificate, by the current one.
    pub(crate) async fn renew(&self, current: &Arc<Identity>) -> Result<Arc<Identity>, Status> {
        let request = SigningRequest::new();
        let answer = sign(channel(self.ads_address(), Arc::clone(current)), "", &request.csr_der).await?;
        Ok(identity(answer, request))
    }

    /// Asks the API.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let stream = tokio::net::UnixStream::connect(self.socket("controller.sock")).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        samspill_net::task::spawn("api-connection", connection);
        let request = http::Request::builder().method(method).uri(path).header("host", "controller");
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(bytes::Bytes::from(body.to_owned()))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

impl Runtime {
    pub(crate) async fn say(&mut self, message: &ToController) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.writer.write_all(line.as_bytes()).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> ToRuntime {
        let line = timeout(GENEROUS, self.lines.next_line()).await.expect("the controller said nothing");
        serde_json::from_str(&line.unwrap().expect("the controller has hung up")).unwrap()
    }

    pub(crate) async fn next_plan(&mut self) -> Plan {
        match self.next().await {
            ToRuntime::Plan(plan) => plan,
            other @ ToRuntime::Applied(_) => panic!("expected a plan: {other:?}"),
        }
    }

    /// The first half of `up`: nothing runs, the files say `intent`, a plan comes.
    pub(crate) async fn up(&mut self, intent: Intent) -> Plan {
        self.say(&ToController::Inventory(Inventory::default())).await;
        self.say(&ToController::Apply(Box::new(intent))).await;
        let plan = self.next_plan().await;
        let applied = self.next().await;
        assert!(matches!(&applied, ToRuntime::Applied(changes) if changes.len() == 1), "{applied:?}");
        plan
    }

    /// The second: what is planned runs and is ready.
    pub(crate) async fn runs(&mut self, plan: &Plan) -> Inventory {
        let inventory = inventory(plan);
        self.say(&ToController::Inventory(inventory.clone())).await;
        inventory
    }
}

/// What a proxy knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    pub(crate) backends: BTreeMap<ServicePort, Option<Backend>>,
    pub(crate) inbounds: usize,
    pub(crate) updates: usize,
}

impl Knowledge {
    /// The ports of a service's endpoints, once it is known.
    pub(crate) fn endpoints(&self, service: &ServicePort) -> Option<Vec<u16>> {
        let backend = self.backends.get(service)?.as_ref()?;
        Some(backend.endpoints.iter().map(SocketAddr::port).collect())
    }
}

/// A proxy: nothing but its configuration.
pub(crate) struct Proxy {
    pub(crate) knowledge: watch::Receiver<Knowledge>,
    task: tokio::task::JoinHandle<std::convert::Infallible>,
    _wanted: mpsc::UnboundedSender<Wanted>,
}

impl Proxy {
    pub(crate) fn start(mesh: &Mesh, identity: &Arc<Identity>, node: &str, wanted: Vec<Wanted>) -> Self {
        let (address, identity) = (mesh.ads_address(), Arc::clone(identity));
        let (sender, receiver) = mpsc::unbounded_channel();
        for wanted in wanted {
            sender.send(wanted).unwrap();
        }
        let knowledge = watch::Sender::new(Knowledge::default());
        let observed = knowledge.subscribe();
        let apply = move |update| {
            knowledge.send_modify(|knowledge| {
                knowledge.updates += 1;
                match update {
                    Update::Routes(..) => {}
                    Update::Backend(name, backend) => drop(knowledge.backends.insert(name, backend)),
                    Update::Inbound(..) => knowledge.inbounds += 1,
                }
            });
        };
        let client = samspill_xds::client::run(
            move || channel(address, Arc::clone(&identity)),
            node.to_owned(),
            receiver,
            apply,
        );
        Self { knowledge: observed, task: samspill_net::task::spawn("proxy", client), _wanted: sender }
    }

    pub(crate) async fn wait_for(&mut self, what: &str, known: impl FnMut(&Knowledge) -> bool) -> Knowledge {
        let found = timeout(GENEROUS, self.knowledge.wait_for(known)).await;
        found.unwrap_or_else(|_elapsed| panic!("waited in vain for {what}")).unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A channel to ADS by mutual TLS, made anew whenever it breaks.
pub(crate) fn channel(ads: SocketAddr, identity: Arc<Identity>) -> Channel {
    Endpoint::from_static("http://controller").connect_with_connector_lazy(service_fn(move |_uri| {
        let identity = Arc::clone(&identity);
        async move {
            let stream = samspill_net::connect::tcp(ads, GENEROUS).await.map_err(io::Error::other)?;
            let expected = [SpiffeId::controller(DOMAIN)];
            let (stream, _peer) = identity.connect(stream, &expected, &[b"h2"]).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    }))
}

async fn sign(channel: Channel, token: &str, csr_der: &[u8]) -> Result<SignResponse, Status> {
    let request = SignRequest { csr_der: csr_der.to_vec(), token: token.to_owned() };
    Ok(CertificatesClient::new(channel).sign(request).await?.into_inner())
}

fn identity(answer: SignResponse, request: SigningRequest) -> Arc<Identity> {
    let certificates = |der: Vec<Vec<u8>>| der.into_iter().map(CertificateDer::from).collect();
    let bundle = TrustBundle { trust_domain: answer.trust_domain, roots: certificates(answer.roots_der) };
    Arc::new(Identity::new(certificates(answer.chain_der), request.key, &bundle).unwrap())
}

/// The token that the pretended runtime gave to the sidecar of an instance, or to `edge`.
pub(crate) fn token(node: &str) -> String {
    format!("the token of {node}")
}

/// All that is planned and not stopped runs in this process, is ready, and has a live sidecar; so has the edge.
pub(crate) fn inventory(plan: &Plan) -> Inventory {
    let process = |node: &str| {
        let digest = Sha256::digest(token(node));
        let token_sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        ProxyProcess { pid: std::process::id(), token_sha256 }
    };
    let running = plan.instances.iter().filter(|planned| planned.state != InstanceState::Stop);
    let instances = running.zip(0..).map(|(planned, offset)| {
        let workload = &plan.workloads[planned.workload];
        let ports = PortAddresses {
            app: SocketAddr::from(([127, 0, 0, 1], 20_000 + offset)),
            inbound: SocketAddr::from(([127, 0, 0, 1], 30_000 + offset)),
        };
        Instance {
            name: planned.name.clone(),
            workload: workload.name.clone(),
            service_account: workload.service_account.clone(),
            version: workload.version.clone(),
            phase: Phase::Running,
            ready: true,
            restarts: 0,
            pid: Some(std::process::id()),
            sidecar: Some(process(planned.name.as_str())),
            ports: BTreeMap::from([(8080, ports)]),
        }
    });
    let instances = instances.collect();
    Inventory { generation: plan.generation, instances, edge: plan.edge.then(|| process("edge")) }
}

/// The workload `invoicing` of the namespace `default`, its Service, and a route to it from the edge.
pub(crate) fn invoicing_intent(replicas: u32) -> Intent {
    let labels = BTreeMap::from([("app".to_owned(), "invoicing".to_owned())]);
    let program = Program {
        executable: PathBuf::from("/bin/true"),
        args: Vec::new(),
        working_dir: PathBuf::from("/"),
        env: BTreeMap::new(),
        secret_env: Vec::new(),
    };
    let workload = Workload {
        name: WorkloadName::new("default", "invoicing"),
        service_account: "accountant".to_owned(),
        version: "1".to_owned(),
        labels: labels.clone(),
        replicas,
        program,
        ports: vec![ContainerPort { name: None, port: 8080 }],
        readiness: None,
        liveness: None,
        termination_grace_seconds: 30,
    };
    let port = ServicePortSpec { name: None, port: 80, target: TargetPort::Number(8080), protocol: AppProtocol::Http1 };
    let service =
        Service { namespace: "default".to_owned(), name: "invoicing".to_owned(), selector: labels, ports: vec![port] };
    let route = EdgeRoute {
        route: "default/edge".to_owned(),
        path: PathMatch::Prefix("/api/invoicing".to_owned()),
        rewrite: None,
        backends: vec![WeightedService { service: invoicing(), weight: 1 }],
    };
    Intent { workloads: vec![workload], services: vec![service], routes: vec![route] }
}

pub(crate) fn invoicing() -> ServicePort {
    ServicePort::new("invoicing", "default", 80)
}
