//! What a proxy starts, in order, and how it ends.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use samspill_engine::Engine;
use samspill_engine::directory::{Directory, Lookup, RoutesOf};
use samspill_engine::metrics::{Metrics, Side};
use samspill_identity::IdentityStore;
use samspill_model::snapshot::Inbound as InboundSnapshot;
use samspill_net::drain::{self, Drain};
use samspill_net::inherited::Descriptors;
use samspill_net::{Listener, task};
use samspill_observability::export::{self, SpanSender};
use samspill_observability::span::Resource;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::certificates::Certificates;
use crate::config::{Config, Role};
use crate::edge::Edge;
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::{certificates, control};

/// How long a stopping proxy finishes what it has.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How long the last spans may take to leave.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// Why a proxy could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The parent has not passed a descriptor that is needed.
    #[error("no descriptor `{0}` was inherited: the runtime starts proxies, they are not started by hand")]
    NoDescriptor(&'static str),
    /// A descriptor, a thread or a signal handler could not be had.
    #[error("cannot {doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The exporter could not be started.
    #[error("cannot export spans")]
    Export(#[from] export::SpawnError),
    /// The certificate has expired and could not be renewed: a new process with a new token can get one.
    #[error("the certificate has expired and could not be renewed")]
    IdentityExpired,
    /// A second signal came while draining.
    #[error("stopped before everything was finished")]
    Interrupted,
    /// The worker has ended by itself.
    #[error("the worker thread has ended")]
    WorkerEnded,
}

/// What both threads share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) identity: Arc<IdentityStore>,
    pub(crate) directory: Directory,
    pub(crate) inbound: watch::Receiver<Option<Arc<InboundSnapshot>>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spans: SpanSender,
    /// Ends the connections that come from the mesh.
    pub(crate) inbound_drain: Arc<Drain>,
    /// Ends all others, and the listeners.
    pub(crate) drain: Arc<Drain>,
}

impl Shared {
    /// Whether requests can be served: there are an identity and a first configuration.
    pub(crate) fn is_ready(&self) -> bool {
        let is_configured = match self.config.role {
            Role::Sidecar => self.inbound.borrow().is_some(),
            Role::Edge => !matches!(*self.directory.routes(&RoutesOf::Edge).borrow(), Lookup::Pending),
        };
        is_configured && self.identity.current().is_some()
    }
}

/// Runs a proxy until SIGTERM, on the descriptors that its parent has passed.
///
/// # Errors
/// See [`RunError`]; print the chain and exit with 1: the parent starts another one.
pub fn run(config: Config, mut descriptors: Descriptors) -> Result<(), RunError> {
    let admin_socket = listener(&mut descriptors, "admin")?;
    let token = read_token(&mut descriptors)?;
    let spans = export::spawn(&config.otlp_endpoint, &resource(&config))?;
    let (directory, questions) = Directory::new();
    let (inbound_sender, inbound) = watch::channel(None);
    let shared = Shared {
        config: Arc::new(config),
        identity: Arc::new(IdentityStore::new()),
        directory,
        inbound,
        metrics: Arc::new(Metrics::default()),
        spans,
        inbound_drain: Arc::new(drain::channel().0),
        drain: Arc::new(drain::channel().0),
    };

    let worker = spawn_worker(shared.clone(), descriptors)?;
    let control = runtime("start the control thread")?;
    control.block_on(async {
        Admin::new(shared.clone()).spawn(from_std(admin_socket)?);
        task::spawn("control", control::follow(shared.clone(), questions, inbound_sender));
        let certificates = Certificates::new(Arc::clone(&shared.config), Arc::clone(&shared.identity));
        let mut terminate = signal(SignalKind::terminate()).map_err(system("watch for SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("watch for SIGINT"))?;
        tokio::select! {
            certificates::Expired = certificates.keep(token) => return Err(RunError::IdentityExpired),
            () = worker.ended() => return Err(RunError::WorkerEnded),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let drained = finish(&shared);
        tokio::select! {
            () = drained => Ok(()),
            _ = terminate.recv() => Err(RunError::Interrupted),
            _ = interrupt.recv() => Err(RunError::Interrupted),
        }
    })
}

/// Finishes what is begun, up to the deadline, and sends the last spans.
async fn finish(shared: &Shared) {
    shared.inbound_drain.start();
    shared.drain.start();
    let all = async {
        shared.inbound_drain.finished().await;
        shared.drain.finished().await;
    };
    if tokio::time::timeout(DRAIN_DEADLINE, all).await.is_err() {
        tracing::warn!("{DRAIN_DEADLINE:?} were not enough to finish every request");
    }
    if let Err(error) = shared.spans.flush(FLUSH_DEADLINE).await {
        tracing::debug!(%error, "the last spans were not sent");
    }
}

/// The thread that carries the requests.
struct Worker(tokio::sync::oneshot::Receiver<()>);

impl Worker {
    /// Returns when the thread has ended, which it does not before the process.
    async fn ended(self) {
        drop(self.0.await);
    }
}

fn spawn_worker(shared: Shared, mut descriptors: Descriptors) -> Result<Worker, RunError> {
    let runtime = runtime("start the worker thread")?;
    let mut inbound = Vec::new();
    let names: Vec<String> = descriptors.names().map(ToOwned::to_owned).collect();
    for name in names {
        if let Some(port) = name.strip_prefix("inbound-").and_then(|port| port.parse::<u16>().ok())
            && let Some(listener) = descriptors.tcp_listener(&name)
        {
            inbound.push((port, listener));
        }
    }
    let front = match shared.config.role {
        Role::Sidecar => listener(&mut descriptors, "outbound")?,
        Role::Edge => listener(&mut descriptors, "edge")?,
    };
    let (alive, ended) = tokio::sync::oneshot::channel();
    let work = move || {
        runtime.block_on(async {
            if let Err(error) = serve_all(shared, front, inbound).await {
                tracing::error!("{}", samspill_observability::chain(&error));
            }
        });
        drop(alive);
    };
    thread::Builder::new().name("worker".to_owned()).spawn(work).map_err(system("start the worker thread"))?;
    Ok(Worker(ended))
}

async fn serve_all(
    shared: Shared,
    front: std::net::TcpListener,
    inbound: Vec<(u16, std::net::TcpListener)>,
) -> Result<(), RunError> {
    for (port, listener) in inbound {
        let listener = from_std(listener)?;
        let inbound = Arc::new(Inbound::new(&shared, port));
        spawn_inbound(listener, inbound, shared.clone());
    }
    let front = from_std(front)?;
    match shared.config.role {
        Role::Sidecar => serve_outbound(front, shared).await,
        Role::Edge => serve_edge(front, shared).await,
    }
    // The connections are tasks of this thread's runtime: it stays for them.
    std::future::pending().await
}

fn engine(shared: &Shared, side: Side) -> Arc<Engine> {
    Arc::new(Engine::new(
        shared.directory.clone(),
        Arc::clone(&shared.identity),
        shared.spans.clone(),
        Arc::clone(&shared.metrics),
        shared.config.workload.clone(),
        side,
    ))
}

fn spawn_inbound(listener: Listener, inbound: Arc<Inbound>, shared: Shared) {
    task::spawn("inbound listener", serve_inbound(listener, inbound, shared));
}

/// Accepts until the whole proxy drains. While only the inbound side drains, late callers are still served, and told to
/// go.
async fn serve_inbound(listener: Listener, inbound: Arc<Inbound>, shared: Shared) {
    let drain = shared.drain.watch();
    loop {
        tokio::select! {
            () = drain.started() => return,
            (stream, _from) = listener.accept() => {
                Arc::clone(&inbound).spawn(stream, shared.inbound_drain.watch());
            }
        }
    }
}

async fn serve_outbound(listener: Listener, shared: Shared) {
    let drain = shared.drain.watch();
    let engine = engine(&shared, Side::Outbound);
    loop {
        tokio::select! {
            () = drain.started() => return,
            (stream, _from) = listener.accept() => {
                Outbound::new(&shared, Arc::clone(&engine), drain.clone()).spawn(stream);
            }
        }
    }
}

async fn serve_edge(listener: Listener, shared: Shared) {
    let drain = shared.drain.watch();
    let edge = Arc::new(Edge::new(&shared, engine(&shared, Side::Edge)));
    loop {
        tokio::select! {
            () = drain.started() => return,
            (stream, from) = listener.accept() => {
                Arc::clone(&edge).spawn(stream, from, drain.clone());
            }
        }
    }
}

fn runtime(doing: &'static str) -> Result<tokio::runtime::Runtime, RunError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system(doing))
}

fn listener(descriptors: &mut Descriptors, name: &'static str) -> Result<std::net::TcpListener, RunError> {
    descriptors.tcp_listener(name).ok_or(RunError::NoDescriptor(name))
}

fn from_std(listener: std::net::TcpListener) -> Result<Listener, RunError> {
    Listener::from_std(listener).map_err(system("take over a listener"))
}

/// The one-use token that proves to the controller which process this is.
fn read_token(descriptors: &mut Descriptors) -> Result<String, RunError> {
    let mut file = descriptors.file("token").ok_or(RunError::NoDescriptor("token"))?;
    let mut token = String::new();
    file.read_to_string(&mut token).map_err(system("read the token"))?;
    Ok(token.trim().to_owned())
}

fn resource(config: &Config) -> Resource {
    Resource {
        service_name: config.workload.name.clone(),
        service_namespace: config.workload.namespace.clone(),
        service_instance_id: config.instance.to_string(),
        service_version: config.workload_version.clone(),
    }
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { doing, source }
}
