//! Forwards one request: finds its backend, tries its endpoints, observes each attempt.
//!
//! A request of which no byte has reached an application is tried on another endpoint, whatever its method: after a failed
//! connection or handshake, an unsent request on a closed connection, REFUSED_STREAM, or another sidecar's
//! `app-unreachable`. Each endpoint is tried once; nothing else is tried again here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::uri::Authority;
use http::{Request, Response, Uri};
use samspill_identity::IdentityStore;
use samspill_model::name::{ServicePort, WorkloadName};
use samspill_model::snapshot::{Backend, RouteTable};
use samspill_net::task;
use samspill_observability::context::TraceContext;
use samspill_observability::export::SpanSender;
use samspill_observability::span::SpanKind;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::balance;
use crate::body::Body;
use crate::connection::MeshTls;
use crate::directory::{Directory, Lookup, RoutesOf};
use crate::endpoint::{Endpoint, SendError, Transport};
use crate::headers;
use crate::metrics::{Metrics, Side, Traffic, TrafficKey};
use crate::observe::Observation;
use crate::reason::{Failure, REASON_HEADER, Reason};
use crate::replay::Replay;
use crate::route::{self, Routed};

/// How long a first call to a name waits for the controller: longer than a controller needs to be started again.
const DISCOVERY_WAIT: Duration = Duration::from_secs(15);

/// How long a request waits for a backend to have an endpoint: one that has just become ready is known here a moment later,
/// and the only instance of a service may be on its way back.
const READY_WAIT: Duration = Duration::from_secs(1);

/// Sends requests for one workload, on one worker.
#[derive(Debug)]
pub struct Engine {
    directory: Directory,
    identity: Arc<IdentityStore>,
    spans: SpanSender,
    metrics: Arc<Metrics>,
    source: WorkloadName,
    side: Side,
    routes: Mutex<HashMap<RoutesOf, watch::Receiver<Lookup<RouteTable>>>>,
    backends: Mutex<HashMap<ServicePort, Arc<LiveBackend>>>,
}

/// Where a request goes, and under which span its attempts belong.
#[derive(Debug)]
pub struct Outgoing {
    /// Where to.
    pub routed: Routed,
    /// What the caller named: `Host` or `:authority`.
    pub authority: Authority,
    /// The caller's span; its sampling is that of the attempts. An unsampled request keeps the `traceparent` that it has.
    pub parent: TraceContext,
}

impl Engine {
    /// An engine for calls of the workload `source`; `side` is [`Side::Outbound`] or [`Side::Edge`].
    pub fn new(
        directory: Directory,
        identity: Arc<IdentityStore>,
        spans: SpanSender,
        metrics: Arc<Metrics>,
        source: WorkloadName,
        side: Side,
    ) -> Self {
        Self { directory, identity, spans, metrics, source, side, routes: Mutex::default(), backends: Mutex::default() }
    }

    /// Finds where a request goes, and rewrites its path. A first call to a name waits for the controller.
    ///
    /// # Errors
    /// [`Reason::UnknownService`], [`Reason::NoRoute`] or [`Reason::DiscoveryUnavailable`].
    pub async fn route(&self, of: &RoutesOf, uri: &mut Uri) -> Result<Routed, Failure> {
        let receiver = {
            let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            match routes.get(of) {
                Some(receiver) => receiver.clone(),
                None => routes.entry(of.clone()).or_insert(self.directory.routes(of)).clone(),
            }
        };
        let Lookup::Found(table) = answered(receiver).await? else {
            return Err(match of {
                RoutesOf::Service(name) => Failure::new(Reason::UnknownService).detail(name.to_string()),
                RoutesOf::Edge => Failure::new(Reason::NoRoute),
            });
        };
        let chosen = route::choose(&table, uri).ok_or_else(|| Failure::new(Reason::NoRoute).detail(uri.path()));
        let (routed, path) = chosen?;
        if let Some(path) = path {
            let mut parts = std::mem::take(uri).into_parts();
            parts.path_and_query = Some(path);
            *uri = Uri::from_parts(parts).map_err(|error| Failure::new(Reason::Malformed).caused_by(error))?;
        }
        Ok(routed)
    }

    /// Sends a request to one endpoint after the other until one has it.
    ///
    /// # Errors
    /// No endpoint took it, or one took it and was lost: the [`Failure`] of the last attempt.
    pub async fn forward(&self, outgoing: &Outgoing, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let live = self.backend(outgoing.routed.backend());
        let endpoints = live.current().await?;
        let mut request = request;
        headers::adapt(&mut request, &outgoing.authority, endpoints.of.protocol)?;
        let mut pending = Pending::new(request, endpoints.all.len() > 1);
        let mut tried = Vec::new();
        let mut failure = Failure::new(Reason::NoReadyEndpoint).detail(outgoing.routed.backend().to_string());

        while let Some(endpoint) = balance::pick(&endpoints.all, &tried)
            && let Some(mut request) = pending.next()
        {
            let observation = self.begin_attempt(outgoing, &live, endpoint, &mut request, tried.len());
            let begun = Instant::now();
            tried.push(Arc::clone(endpoint));
            match endpoint.send(request).await {
                Ok(response) => match refused_by_sidecar(endpoint, &response) {
                    None => {
                        endpoint.load.observe(begun.elapsed());
                        pending.release();
                        return Ok(observation.answered(response));
                    }
                    Some(refusal) => {
                        endpoint.load.observe(balance::FAILURE);
                        observation.failed(&refusal);
                        failure = refusal;
                    }
                },
                Err(SendError::Unsent(unsent, request)) => {
                    endpoint.load.observe(balance::FAILURE);
                    observation.failed(&unsent);
                    failure = unsent;
                    pending.give_back(request);
                }
                Err(SendError::Lost(lost)) => {
                    endpoint.load.observe(balance::FAILURE);
                    observation.failed(&lost);
                    return Err(lost);
                }
            }
        }
        Err(failure)
    }

    fn begin_attempt(
        &self,
        outgoing: &Outgoing,
        live: &LiveBackend,
        endpoint: &Endpoint,
        request: &mut Request<Body>,
        resend_count: usize,
    ) -> Observation {
        let Outgoing { routed, parent, .. } = outgoing;
        let context = if parent.sampled { parent.child() } else { *parent };
        if parent.sampled {
            context.inject(request.headers_mut());
        }
        let counted = live.traffic.begin();
        let mut observation = Observation::begin(
            &self.spans,
            (SpanKind::Client, self.side),
            &context,
            Some(parent.span_id),
            request,
            counted,
        );
        observation.sent_to(&routed.backend().service, endpoint.address(), resend_count);
        observation
    }

    fn backend(&self, name: &ServicePort) -> Arc<LiveBackend> {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = backends.get(name) {
            return Arc::clone(live);
        }
        let key = TrafficKey {
            side: self.side,
            source: self.source.to_string(),
            destination: format!("{}/{}", name.namespace, name.service),
        };
        let live = Arc::new(LiveBackend {
            receiver: self.directory.backend(name),
            endpoints: ArcSwapOption::empty(),
            traffic: self.metrics.traffic(key),
            identity: Arc::clone(&self.identity),
            metrics: Arc::clone(&self.metrics),
            side: self.side,
        });
        task::spawn("follow backend", LiveBackend::follow(Arc::downgrade(&live), live.receiver.clone()));
        backends.insert(name.clone(), Arc::clone(&live));
        live
    }
}

/// A backend as this worker uses it: the newest snapshot, with the load and the pools of each endpoint.
#[derive(Debug)]
struct LiveBackend {
    receiver: watch::Receiver<Lookup<Backend>>,
    endpoints: ArcSwapOption<Endpoints>,
    traffic: Arc<Traffic>,
    identity: Arc<IdentityStore>,
    metrics: Arc<Metrics>,
    side: Side,
}

#[derive(Debug)]
struct Endpoints {
    of: Arc<Backend>,
    all: Vec<Arc<Endpoint>>,
}

impl LiveBackend {
    /// The endpoints as of the newest snapshot: what has been acknowledged to the controller is used by the next request.
    async fn current(&self) -> Result<Arc<Endpoints>, Failure> {
        let mut lookup = answered(self.receiver.clone()).await?;
        if !has_endpoint(&lookup) {
            let mut receiver = self.receiver.clone();
            // Whether it came in time is seen below.
            drop(tokio::time::timeout(READY_WAIT, receiver.wait_for(has_endpoint)).await);
            lookup = self.receiver.borrow().clone();
        }
        match lookup {
            Lookup::Found(backend) => Ok(self.refresh(&backend)),
            Lookup::Missing | Lookup::Pending => Err(Failure::new(Reason::NoReadyEndpoint)),
        }
    }

    /// Takes over what both snapshots have, with load and pools, and retires what is gone.
    fn refresh(&self, backend: &Arc<Backend>) -> Arc<Endpoints> {
        let old = self.endpoints.load_full();
        if let Some(old) = &old
            && Arc::ptr_eq(&old.of, backend)
        {
            return Arc::clone(old);
        }
        let alike =
            old.as_ref().filter(|old| old.of.protocol == backend.protocol && old.of.identities == backend.identities);
        let known = alike.map_or(&[][..], |old| old.all.as_slice());
        let tls = MeshTls::new(&self.identity, &backend.identities, backend.protocol, &self.metrics, self.side);
        let tls = Arc::new(tls);
        let endpoint = |address: &_| match known.iter().find(|endpoint| endpoint.address() == *address) {
            Some(endpoint) => Arc::clone(endpoint),
            None => Arc::new(Endpoint::new(*address, backend.protocol, Transport::Mesh(Arc::clone(&tls)))),
        };
        let new =
            Arc::new(Endpoints { of: Arc::clone(backend), all: backend.endpoints.iter().map(endpoint).collect() });
        self.endpoints.store(Some(Arc::clone(&new)));
        for gone in old.iter().flat_map(|old| &old.all) {
            if !new.all.iter().any(|endpoint| Arc::ptr_eq(endpoint, gone)) {
                gone.retire();
            }
        }
        new
    }

    /// Closes the pools of endpoints that are gone as soon as that is known, not at the next request.
    async fn follow(this: Weak<Self>, mut receiver: watch::Receiver<Lookup<Backend>>) {
        while receiver.changed().await.is_ok() {
            let lookup = receiver.borrow_and_update().clone();
            let Some(this) = this.upgrade() else { return };
            match lookup {
                Lookup::Found(backend) => drop(this.refresh(&backend)),
                Lookup::Missing => this.endpoints.swap(None).iter().flat_map(|old| &old.all).for_each(Endpoint::retire),
                Lookup::Pending => {}
            }
        }
    }
}

fn has_endpoint(lookup: &Lookup<Backend>) -> bool {
    matches!(lookup, Lookup::Found(backend) if !backend.endpoints.is_empty())
}

/// The newest answer about a name, waiting for the first one.
async fn answered<T>(mut receiver: watch::Receiver<Lookup<T>>) -> Result<Lookup<T>, Failure> {
    let is_answered = |lookup: &Lookup<T>| !matches!(lookup, Lookup::Pending);
    {
        let now = receiver.borrow();
        if is_answered(&now) {
            return Ok(now.clone());
        }
    }
    match tokio::time::timeout(DISCOVERY_WAIT, receiver.wait_for(is_answered)).await {
        Ok(Ok(lookup)) => Ok(lookup.clone()),
        Ok(Err(_)) | Err(_) => Err(Failure::new(Reason::DiscoveryUnavailable)),
    }
}

/// Another sidecar's word that its app has not had the request; believed because mutual TLS has proven who says it, and
/// because sidecars remove the field from what an app answers.
fn refused_by_sidecar(endpoint: &Endpoint, response: &Response<Body>) -> Option<Failure> {
    let reason = response.headers().get(REASON_HEADER)?;
    (endpoint.is_mesh() && reason == Reason::AppUnreachable.as_str()).then(|| Failure::new(Reason::AppUnreachable))
}

/// A request that may have to be sent again: its head is kept while another endpoint could still take it.
enum Pending {
    /// As it came, to be sent once.
    Whole(Option<Request<Body>>),
    /// A head to copy and a body to replay.
    Kept { head: Request<()>, body: Option<Replay> },
}

impl Pending {
    fn new(request: Request<Body>, has_alternative: bool) -> Self {
        if !has_alternative {
            return Self::Whole(Some(request));
        }
        let (head, body) = request.into_parts();
        if body.is_empty() {
            return Self::Kept { head: Request::from_parts(head, ()), body: None };
        }
        match body.into_received() {
            Ok(received) => Self::Kept { head: Request::from_parts(head, ()), body: Some(Replay::new(received)) },
            Err(body) => Self::Whole(Some(Request::from_parts(head, body))),
        }
    }

    fn next(&mut self) -> Option<Request<Body>> {
        match self {
            Self::Whole(request) => request.take(),
            Self::Kept { head, body } => {
                let body = match body {
                    Some(body) => Body::attempt(body.attempt()?),
                    None => Body::empty(),
                };
                let mut request = Request::new(body);
                *request.method_mut() = head.method().clone();
                *request.version_mut() = head.version();
                *request.uri_mut() = head.uri().clone();
                *request.headers_mut() = head.headers().clone();
                Some(request)
            }
        }
    }

    /// The request has not been sent: it is as good as before.
    fn give_back(&mut self, unsent: Option<Box<Request<Body>>>) {
        if let Self::Whole(request) = self {
            *request = unsent.map(|unsent| *unsent);
        }
    }

    /// Somebody has answered: nothing will be sent again.
    fn release(&self) {
        if let Self::Kept { body: Some(body), .. } = self {
            body.release();
        }
    }
}
