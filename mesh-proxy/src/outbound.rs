//! From our own workload: a name, and a request for it.
//!
//! The phases: gate (is this well-formed HTTP?) → name (who is meant?) → call context (which trace?) → route → forward.
//! Up to the route a failure is the caller's; from there on it is the mesh's. Both are answered by [`rescue`].

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use samspill_engine::connection::Lifetime;
use samspill_engine::directory::RoutesOf;
use samspill_engine::headers::{is_grpc, remove_hop_by_hop, say_websocket};
use samspill_engine::metrics::{Metrics, Side};
use samspill_engine::{Body, Engine, Failure, Outgoing, Reason};
use samspill_model::name::ServicePort;
use samspill_net::drain::DrainWatch;
use samspill_net::gate::{self, Verdict};
use samspill_net::task;
use samspill_observability::context::TraceContext;
use tokio::net::TcpStream;

use crate::app::Shared;
use crate::config::Config;
use crate::listen::{self, Ending, Handler};
use crate::{rescue, tunnel};

/// Serves the requests that the own workload sends.
#[derive(Debug)]
pub(crate) struct Outbound {
    config: Arc<Config>,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    ending: Ending,
    /// Inside a tunnel that CONNECT has opened, the name that it was opened to.
    tunnel_to: Option<Authority>,
}

impl Handler for Outbound {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, verdict: Option<Verdict>) -> Response<Body> {
        let is_grpc = is_grpc(request.headers());

        // Gate: a malformed request is answered by its own status, and its connection ends.
        if let Some(malformed) = verdict.as_ref().and_then(|verdict| verdict.take()) {
            return rescue::malformed(&malformed, is_grpc, &self.metrics);
        }
        let (parts, body) = request.into_parts();
        if let Err(malformed) = gate::check_request(&parts) {
            return rescue::malformed(&malformed, is_grpc, &self.metrics);
        }
        let request = Request::from_parts(parts, body);

        if request.method() == Method::CONNECT {
            let answered = self.open_tunnel(request, verdict.as_ref()).await;
            return answered.unwrap_or_else(|failure| rescue::answer(&failure, is_grpc, &self.metrics));
        }
        let version = request.version();
        let (request, switch) = tunnel::asked(request, verdict);
        let request = request.map(|body| Body::received(body, version));
        let answered = self.forward(request, switch.is_some()).await;
        let response = answered.unwrap_or_else(|failure| rescue::answer(&failure, is_grpc, &self.metrics));
        tunnel::answered(response, switch, &self.ending, || self.metrics.connection(Side::Outbound))
    }
}

impl Outbound {
    pub(crate) fn new(shared: &Shared, engine: Arc<Engine>, drain: DrainWatch) -> Self {
        Self {
            config: Arc::clone(&shared.config),
            engine,
            metrics: Arc::clone(&shared.metrics),
            ending: Ending { drain, lifetime: Lifetime::UNLIMITED },
            tunnel_to: None,
        }
    }

    /// Serves one connection, in a task of its own.
    pub(crate) fn spawn(self, stream: TcpStream) {
        let open = self.metrics.connection(Side::Outbound);
        let ending = self.ending.clone();
        task::spawn("outbound connection", async move {
            let _open = open;
            listen::detect_and_serve(stream, Arc::new(self), ending).await;
        });
    }

    async fn forward(&self, mut request: Request<Body>, is_websocket: bool) -> Result<Response<Body>, Failure> {
        // Name: the tunnel's, the absolute form's (http_proxy), `:authority`, or `Host`.
        let authority = match &self.tunnel_to {
            Some(authority) => authority.clone(),
            None => authority(&request)?,
        };
        let name = self.resolve(&authority)?;
        remove_hop_by_hop(request.headers_mut())
            .map_err(|error| Failure::new(Reason::Malformed).detail(error.to_string()))?;
        if is_websocket {
            say_websocket(request.headers_mut());
        }

        // Call context: the app's, or a trace that begins here.
        let parent = TraceContext::parse(request.headers()).unwrap_or_else(|| {
            let root = TraceContext::new_root(self.config.samples());
            root.inject(request.headers_mut());
            root
        });

        // Route and forward.
        let routed = self.engine.route(&RoutesOf::Service(name), request.uri_mut()).await?;
        let mut response = self.engine.forward(&Outgoing { routed, authority, parent }, request).await?;
        remove_hop_by_hop(response.headers_mut())
            .map_err(|error| Failure::new(Reason::UpstreamReset).caused_by(error))?;
        Ok(response)
    }

    /// CONNECT to a service's name and port opens its listener inside this proxy: gRPC's C core and Node speak so to an
    /// `http_proxy`. The tunnel leads nowhere else.
    async fn open_tunnel(
        &self,
        request: Request<Incoming>,
        verdict: Option<&Verdict>,
    ) -> Result<Response<Body>, Failure> {
        let authority = request.uri().authority().cloned().ok_or_else(|| Failure::new(Reason::Malformed))?;
        let name = self.resolve(&authority)?;
        self.engine.route(&RoutesOf::Service(name), &mut Uri::from_static("/")).await?;
        if let Some(verdict) = verdict {
            verdict.tunnel();
        }
        let inside = Arc::new(Self {
            config: Arc::clone(&self.config),
            engine: Arc::clone(&self.engine),
            metrics: Arc::clone(&self.metrics),
            ending: self.ending.clone(),
            tunnel_to: Some(authority),
        });
        spawn_tunnel(inside, request);
        Ok(Response::new(Body::empty()))
    }

    fn resolve(&self, authority: &Authority) -> Result<ServicePort, Failure> {
        ServicePort::resolve(authority.as_str(), &self.config.workload.namespace)
            .map_err(|error| Failure::new(Reason::UnknownService).detail(error.to_string()))
    }
}

/// Serves what comes out of a tunnel, once both sides have agreed on it.
fn spawn_tunnel(inside: Arc<Outbound>, request: Request<Incoming>) {
    task::spawn("tunnel", async move {
        match hyper::upgrade::on(request).await {
            Ok(io) => {
                let ending = inside.ending.clone();
                listen::detect_and_serve(TokioIo::new(io), inside, ending).await;
            }
            Err(error) => tracing::debug!(%error, "a tunnel was not opened"),
        }
    });
}

/// Whom the caller names: the URI's authority wins over `Host` (RFC 9112 §3.2.2).
pub(crate) fn authority<B>(request: &Request<B>) -> Result<Authority, Failure> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let host = request.headers().get(HOST).map(|host| Authority::try_from(host.as_bytes()));
    host.and_then(Result::ok).ok_or_else(|| Failure::new(Reason::Malformed).detail("the request names no host"))
}
