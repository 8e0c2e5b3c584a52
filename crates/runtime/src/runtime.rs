//! The whole: take the folder and the sockets, then run until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use samspill_model::intent::Intent;
use samspill_observability::chain;
use samspill_observability::traces::{self, Store};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::context::{Context, Sockets};
use crate::event::Event;
use crate::guard::Guard;
use crate::logs::Logs;
use crate::owner::port_owner;
use crate::settings::Settings;
use crate::sockets::listener;
use crate::state::{self, StateDir, StateError};
use crate::status::{Board, Status};
use crate::supervisor;

/// Why a runtime cannot start. Nothing has been started then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Somebody listens on the edge's port.
    #[error(
        "port {port} is in use{}; choose another with --http-port",
        .owner.as_ref().map(|(name, pid)| format!(" by `{name}` (process {pid})")).unwrap_or_default()
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// Name and number of the process, if that can be known.
        owner: Option<(String, u32)>,
    },
    /// A port below 1024 needs a privilege that this user lacks.
    #[error("port {port} may only be used by a privileged user; choose one above 1023 with --http-port")]
    PortPrivileged {
        /// The port.
        port: u16,
    },
    /// No socket can be made.
    #[error("cannot listen on 127.0.0.1")]
    Sockets(#[from] io::Error),
}

/// Why a runtime has ended although nobody asked it to: the words of the part that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GaveUp(String);

/// A handle to stop a runtime from anywhere.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    kill: CancellationToken,
    reason: Arc<OnceLock<GaveUp>>,
}

impl Shutdown {
    /// Stops in order: the edge, then each instance (its sidecar drains, its app ends, its sidecar ends), then the controller.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Kills everything now.
    pub fn kill(&self) {
        self.kill.cancel();
        self.drain.cancel();
    }

    /// What Ctrl-C means: it drains, and while it drains, it kills. Returns whether it has killed.
    pub fn interrupt(&self) -> bool {
        let is_draining = self.drain.is_cancelled();
        if is_draining {
            self.kill();
        } else {
            self.drain();
        }
        is_draining
    }

    /// Stops in order, because there is no use in going on.
    pub(crate) fn give_up(&self, words: String) {
        // The first reason is the reason.
        let _ = self.reason.set(GaveUp(words));
        self.drain();
    }

    pub(crate) fn has_given_up(&self) -> bool {
        self.reason.get().is_some()
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    pub(crate) fn at_once(&self) -> &CancellationToken {
        &self.kill
    }
}

/// A runtime that has its folder and its sockets.
#[derive(Debug)]
pub struct Runtime {
    context: Arc<Context>,
    intent: Intent,
    span_listener: std::net::TcpListener,
    api_listener: std::os::unix::net::UnixListener,
    /// Last, so that the folder is given back when nothing uses it any more.
    state_dir: StateDir,
}

impl Runtime {
    /// Takes the state folder and all ports. No process is started yet: that is [`run`](Self::run).
    ///
    /// The receiver gives what is worth a line on the screen; it may be dropped.
    ///
    /// # Errors
    /// Each says what to do; nothing has been started and nothing is lost.
    pub fn start(settings: Settings, intent: Intent) -> Result<(Self, mpsc::UnboundedReceiver<Event>), StartError> {
        let state_dir = StateDir::open(&settings.state_dir)?;
        let path = state_dir.path();
        let span_listener = listener(0)?;
        span_listener.set_nonblocking(true)?;
        let sockets = Sockets {
            edge: edge_listener(settings.http_port)?,
            edge_admin: listener(0)?,
            ads: listener(0)?,
            bootstrap: StateDir::listen(&state::bootstrap_socket(path))?,
            controller: StateDir::listen(&state::controller_socket(path))?,
            traces: span_listener.local_addr()?,
        };
        let api_listener = StateDir::listen(&state::api_socket(path))?;
        let (sender, events) = mpsc::unbounded_channel();
        let context = Context {
            state_dir: path.to_owned(),
            board: Board::new(&intent, sender),
            logs: Logs::new(path.join("logs")),
            traces: Arc::new(Store::new()),
            shutdown: Shutdown::default(),
            guard: Arc::new(Guard::new()?),
            sockets,
            settings,
        };
        Ok((Self { context: Arc::new(context), intent, span_listener, api_listener, state_dir }, events))
    }

    /// Where strangers reach the mesh.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn edge_address(&self) -> io::Result<SocketAddr> {
        self.context.sockets.edge.local_addr()
    }

    /// How everything is, now and later. `wait_for(Status::is_ready)` waits until all is ready.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.context.board.subscribe()
    }

    /// The newest traces.
    pub fn traces(&self) -> Arc<Store> {
        Arc::clone(&self.context.traces)
    }

    /// The handle to stop it.
    pub fn shutdown(&self) -> Shutdown {
        self.context.shutdown.clone()
    }

    /// Starts the controller and all that it wants, and returns when a [`Shutdown`] has been carried out.
    ///
    /// To be awaited on the **main thread**, in a current-thread tokio runtime: a child is killed when the thread that started
    /// it ends.
    ///
    /// # Errors
    /// The controller cannot work before somebody does what its words say. Everything has been stopped.
    pub async fn run(self) -> Result<(), GaveUp> {
        let Self { context, intent, span_listener, api_listener, state_dir } = self;
        let forward = context.settings.otlp_endpoint.clone();
        let spans = receive_spans(Arc::clone(&context), span_listener, forward);
        let spans = samspill_net::task::spawn("spans", spans);
        let api = samspill_net::task::spawn("api", api::serve(api_listener, Arc::clone(&context)));
        let stop_guard = CancellationToken::new();
        let guard = samspill_net::task::spawn("guard", keep_guard(Arc::clone(&context), stop_guard.clone()));
        supervisor::run(Arc::clone(&context), intent).await;
        stop_guard.cancel();
        // A panic was logged where it happened, and the guard then ends with the pipe.
        let _ = guard.await;
        api.abort();
        spans.abort();
        drop(state_dir);
        context.shutdown.reason.get().cloned().map_or(Ok(()), Err)
    }
}

async fn keep_guard(context: Arc<Context>, stop: CancellationToken) {
    context.guard.keep(&context.settings.executable, &context.state_dir, &context.board, &stop).await;
}

async fn receive_spans(context: Arc<Context>, listener: std::net::TcpListener, forward: Option<String>) {
    if let Err(error) = traces::receive(listener, Arc::clone(&context.traces), forward).await {
        context.board.error("spans", chain(&error).to_string());
    }
}

fn edge_listener(port: u16) -> Result<std::net::TcpListener, StartError> {
    listener(port).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { port, owner: port_owner(port) },
        io::ErrorKind::PermissionDenied => StartError::PortPrivileged { port },
        _ => StartError::Sockets(error),
    })
}
