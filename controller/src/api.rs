//! The controller's HTTP API on `<state>/controller.sock`, for the command line: what is routed, proven and acknowledged, and `scale`.

mod answers;

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;
use samspill::Problem;
use samspill::extract::{Json, Path};
use samspill_model::identity::SpiffeId;
use samspill_observability::chain;
use samspill_xds::server::Acks;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::executor::{Scale, ScaleError, View};
use crate::identity::CertificateService;
use answers::{Certificate, List, Proxy, Route, ScaleAnswer, Service};

/// What the answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) trust_domain: String,
    pub(crate) view: watch::Receiver<Option<Arc<View>>>,
    pub(crate) acks: Acks,
    pub(crate) certificates: CertificateService,
    pub(crate) scales: mpsc::Sender<Scale>,
}

/// Serves the API until the process is asked to end. Who can open the socket may use it: it is its owner's only.
pub(crate) async fn serve_api(listener: UnixListener, api: Api) -> Result<(), samspill::Error> {
    samspill::Service::new("controller").serve_unix(listener, router(api)).await
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/services", get(services))
        .route("/v1/routes", get(routes))
        .route("/v1/certificates", get(certificates))
        .route("/v1/proxies", get(proxies))
        .route("/v1/workloads/{name}/scale", post(scale))
        .with_state(api)
}

async fn services(State(api): State<Api>) -> Json<List<Service>> {
    Json(List::of(api.latest().map(|view| Service::all(&view))))
}

async fn routes(State(api): State<Api>) -> Json<List<Route>> {
    Json(List::of(api.latest().map(|view| Route::all(&view))))
}

async fn certificates(State(api): State<Api>) -> Json<List<Certificate>> {
    let issued = api.certificates.issued();
    Json(List::of(api.latest().map(|view| Certificate::all(&view, &api.trust_domain, &issued))))
}

async fn proxies(State(api): State<Api>) -> Json<List<Proxy>> {
    let generations = api.acks.subscribe().borrow().clone();
    let refusals = api.acks.refusals();
    Json(List::of(api.latest().map(|view| Proxy::all(&view, &generations, &refusals))))
}

/// The body of a scale.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleRequest {
    replicas: u32,
}

async fn scale(
    State(api): State<Api>,
    Path(workload): Path<String>,
    Json(ScaleRequest { replicas }): Json<ScaleRequest>,
) -> Result<Json<ScaleAnswer>, Problem> {
    let (reply, answer) = oneshot::channel();
    let ending = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The controller is ending");
    api.scales.send(Scale { workload, replicas, reply }).await.map_err(|_closed| ending())?;
    let scaled = answer.await.map_err(|_closed| ending())?.map_err(|error| problem(&error))?;
    Ok(Json(scaled.into()))
}

fn problem(error: &ScaleError) -> Problem {
    let of = |status, title: &str| Problem::new(status, title).detail(error.to_string());
    match error {
        ScaleError::Unknown { .. } => of(StatusCode::NOT_FOUND, "No such workload"),
        ScaleError::Ambiguous { .. } => of(StatusCode::CONFLICT, "Several workloads have this name"),
        ScaleError::TooMany(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Too many replicas").field("replicas", error.to_string())
        }
        ScaleError::Write(_) => {
            tracing::error!(error = %chain(error), "a scale was refused");
            of(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be written").detail(chain(error).to_string())
        }
    }
}

impl Api {
    fn latest(&self) -> Option<Arc<View>> {
        self.view.borrow().clone()
    }
}

/// The instances that prove themselves with an identity.
fn holders(view: &View, trust_domain: &str, id: &SpiffeId) -> Vec<String> {
    let instances = view.inventory.instances.iter();
    let of_id = instances.filter(|instance| crate::snapshot::identity(trust_domain, instance) == *id);
    of_id.map(|instance| instance.name.to_string()).collect()
}
