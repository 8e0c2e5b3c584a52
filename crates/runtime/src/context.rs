//! What every task of a runtime has at hand.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use samspill_observability::traces::Store;

use crate::guard::Guard;
use crate::logs::Logs;
use crate::runtime::Shutdown;
use crate::settings::Settings;
use crate::status::Board;

/// What every task of a runtime has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// Absolute, without links.
    pub(crate) state_dir: PathBuf,
    pub(crate) board: Board,
    pub(crate) logs: Logs,
    pub(crate) traces: Arc<Store>,
    pub(crate) shutdown: Shutdown,
    pub(crate) guard: Arc<Guard>,
    pub(crate) sockets: Sockets,
}

/// The sockets of the parts that there is one of.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Strangers' HTTP.
    pub(crate) edge: TcpListener,
    /// The edge's admin port.
    pub(crate) edge_admin: TcpListener,
    /// The controller's configuration service.
    pub(crate) ads: TcpListener,
    /// First certificates.
    pub(crate) bootstrap: UnixListener,
    /// The controller's API.
    pub(crate) controller: UnixListener,
    /// Where we take spans.
    pub(crate) traces: SocketAddr,
}

impl Context {
    /// Where children send their spans.
    pub(crate) fn otlp_endpoint(&self) -> String {
        format!("http://{}", self.sockets.traces)
    }
}
