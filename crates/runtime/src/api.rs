//! What the command line asks a running runtime: HTTP/1 and JSON on the Unix socket [`api_socket`](crate::state::api_socket).
//!
//! | | |
//! |---|---|
//! | `GET /v1/status` | [`StatusView`] |
//! | `GET /v1/instances` | [`InstanceView`]s |
//! | `GET /v1/logs/{name}?follow=true&tail=N` | lines of text; all that are kept where `tail` is not given |
//! | `GET /v1/traces` | [`Summary`](samspill_observability::traces::Summary)s, newest first |
//! | `GET /v1/traces/{id}` | [`Trace`](samspill_observability::traces::Trace); the first digits of an id are enough |
//! | `POST /v1/down` | 202: the drain has begun |
//!
//! An error's body is one sentence of text.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::{StatusCode, header};
use samspill_model::plan::Generation;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::broadcast;

use crate::context::Context;
use crate::status::{InstanceStatus, Status};

/// How many traces a list shows.
const LISTED_TRACES: usize = 100;

/// One line of `samspill get instances`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// The workload.
    pub service: String,
    /// The instance; also the name of its log.
    pub instance: String,
    /// The workload's version.
    pub version: String,
    /// The app's process, while there is one.
    pub pid: Option<u32>,
    /// Where the app listens for its sidecar, in the clear: the first container port.
    pub address: Option<SocketAddr>,
    /// Whether it may receive traffic.
    pub ready: bool,
    /// How often the app has been restarted.
    pub restarts: u32,
    /// The workload's namespace.
    pub namespace: String,
    /// The sidecar's process, while there is one.
    pub sidecar_pid: Option<u32>,
    /// How often the sidecar has been restarted.
    pub sidecar_restarts: u32,
}

/// The whole in one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The runtime's process.
    pub pid: u32,
    /// Whether all that the files want may receive traffic.
    pub ready: bool,
    /// Whether the runtime is on its way out.
    pub stopping: bool,
    /// The newest plan.
    pub generation: Generation,
    /// The controller's process, while there is one.
    pub controller_pid: Option<u32>,
    /// The edge, where the plan wants one.
    pub edge: Option<EdgeView>,
    /// What runs, by name.
    pub instances: Vec<InstanceView>,
}

/// The edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeView {
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// Where strangers reach it.
    pub address: SocketAddr,
    /// Its admin port: `/metrics` and more.
    pub admin: SocketAddr,
    /// Whether it may receive traffic.
    pub ready: bool,
    /// How often it has been restarted.
    pub restarts: u32,
}

impl From<&InstanceStatus> for InstanceView {
    fn from(status: &InstanceStatus) -> Self {
        let instance = &status.instance;
        Self {
            service: instance.workload.name.clone(),
            instance: instance.name.to_string(),
            version: instance.version.clone(),
            pid: instance.pid,
            address: status.first_app_address,
            ready: instance.ready,
            restarts: instance.restarts,
            namespace: instance.workload.namespace.clone(),
            sidecar_pid: instance.sidecar.as_ref().map(|process| process.pid),
            sidecar_restarts: status.sidecar_restarts,
        }
    }
}

impl From<&Status> for StatusView {
    fn from(status: &Status) -> Self {
        Self {
            pid: std::process::id(),
            ready: status.is_ready(),
            stopping: status.is_stopping,
            generation: status.generation,
            controller_pid: status.controller,
            edge: status.edge.as_ref().map(|edge| EdgeView {
                pid: edge.process.as_ref().map(|process| process.pid),
                address: edge.address,
                admin: edge.admin,
                ready: edge.ready,
                restarts: edge.restarts,
            }),
            instances: status.instances.values().map(InstanceView::from).collect(),
        }
    }
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: StdUnixListener, context: Arc<Context>) {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/instances", get(instances))
        .route("/v1/logs/{name}", get(logs))
        .route("/v1/traces", get(traces))
        .route("/v1/traces/{id}", get(trace))
        .route("/v1/down", post(down))
        .with_state(Arc::clone(&context));
    let served = match UnixListener::from_std(listener) {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        context.board.error("runtime", format!("its API has ended: {error}"));
    }
}

async fn status(State(context): State<Arc<Context>>) -> Json<StatusView> {
    Json(StatusView::from(&context.board.status()))
}

async fn instances(State(context): State<Arc<Context>>) -> Json<Vec<InstanceView>> {
    Json(context.board.status().instances.values().map(InstanceView::from).collect())
}

#[derive(Debug, Deserialize)]
struct LogsQuery {
    #[serde(default)]
    follow: bool,
    tail: Option<usize>,
}

async fn logs(
    State(context): State<Arc<Context>>,
    Path(name): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Response {
    let Some(log) = context.logs.get(&name) else {
        return not_found(format!(
            "nothing called `{name}` has been started; there are: {}",
            context.logs.names().join(", ")
        ));
    };
    let (lines, following) = log.read(query.tail.unwrap_or(usize::MAX));
    let lines = stream::iter(lines);
    let body = if query.follow {
        Body::from_stream(lines.chain(follow(following)).map(Ok::<_, std::convert::Infallible>))
    } else {
        Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>))
    };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

fn follow(lines: broadcast::Receiver<Bytes>) -> impl Stream<Item = Bytes> {
    stream::unfold(lines, |mut lines| async {
        match lines.recv().await {
            Ok(line) => Some((line, lines)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some((Bytes::from(format!("({missed} lines were too fast for you)\n")), lines))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

async fn traces(State(context): State<Arc<Context>>) -> Response {
    Json(context.traces.recent(LISTED_TRACES)).into_response()
}

async fn trace(State(context): State<Arc<Context>>, Path(id): Path<String>) -> Response {
    match context.traces.get(&id) {
        Some(trace) => Json(trace).into_response(),
        None => not_found(format!("no trace begins with `{id}`; the newest 1,000 are kept, in memory")),
    }
}

async fn down(State(context): State<Arc<Context>>) -> StatusCode {
    context.shutdown.drain();
    StatusCode::ACCEPTED
}

fn not_found(sentence: String) -> Response {
    (StatusCode::NOT_FOUND, sentence + "\n").into_response()
}
