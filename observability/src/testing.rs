//! A collector for tests: the real receiver, on a thread and a runtime of its own as in another process.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::net::TcpSocket;

use crate::context::TraceContext;
use crate::span::{Resource, SpanKind, SpanRecord};
use crate::traces::{self, Store, Trace};

pub(crate) struct TestCollector {
    pub(crate) endpoint: String,
    pub(crate) store: Arc<Store>,
}

impl TestCollector {
    pub(crate) fn start(forward: Option<String>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), forward)
    }

    /// The thread ends with the test's process.
    pub(crate) fn on(listener: TcpListener, forward: Option<String>) -> Self {
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let store = Arc::new(Store::new());
        let shared = Arc::clone(&store);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(traces::receive(listener, shared, forward)).unwrap();
        });
        Self { endpoint, store }
    }

    /// The trace, once it has this many spans.
    pub(crate) async fn trace(&self, context: &TraceContext, spans: usize) -> Trace {
        let id = context.trace_id_hex();
        let mut arrivals = self.store.subscribe();
        let whole = |_: &u64| self.store.get(&id).is_some_and(|trace| trace.spans.len() >= spans);
        arrivals.wait_for(whole).await.unwrap();
        self.store.get(&id).unwrap()
    }
}

/// A port on which nobody listens, and which nobody else gets while this lives.
pub(crate) fn silent_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Somebody listens from now on.
pub(crate) fn listen(socket: TcpSocket) -> TcpListener {
    socket.listen(16).unwrap().into_std().unwrap()
}

pub(crate) fn resource() -> Resource {
    Resource {
        service_name: "invoicing".into(),
        service_namespace: "craterate".into(),
        service_instance_id: "invoicing-1".into(),
        service_version: "1.2.3".into(),
    }
}

pub(crate) fn record(context: &TraceContext) -> SpanRecord {
    SpanRecord::new(context, None, SpanKind::Server, "GET /v1/invoices/{id}", 1_700_000_000_000_000_000)
}
