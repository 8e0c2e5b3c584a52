//! From strangers: nothing that they claim is believed.
//!
//! The phases: gate → claims (removed, and set anew) → call context (always a new trace) → route → forward → observe.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samspill_engine::connection::Lifetime;
use samspill_engine::directory::RoutesOf;
use samspill_engine::headers::{
    FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, is_grpc, remove_claims, remove_hop_by_hop, say_websocket,
};
use samspill_engine::metrics::{Metrics, Side, Traffic, TrafficKey};
use samspill_engine::observe::Observation;
use samspill_engine::{Body, Engine, Failure, Outgoing, Reason};
use samspill_net::drain::DrainWatch;
use samspill_net::gate::{self, Malformed, Verdict};
use samspill_net::task;
use samspill_observability::context::TraceContext;
use samspill_observability::conventions::attribute;
use samspill_observability::export::SpanSender;
use samspill_observability::span::SpanKind;
use tokio::net::TcpStream;

use crate::app::Shared;
use crate::config::Config;
use crate::listen::{self, Ending, Handler};
use crate::outbound::authority;
use crate::{rescue, tunnel};

/// Where strangers come in.
#[derive(Debug)]
pub(crate) struct Edge {
    config: Arc<Config>,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    spans: SpanSender,
    traffic: Arc<Traffic>,
}

impl Edge {
    pub(crate) fn new(shared: &Shared, engine: Arc<Engine>) -> Self {
        let Shared { config, metrics, spans, .. } = shared.clone();
        let source = "stranger".to_owned();
        let traffic =
            metrics.traffic(TrafficKey { side: Side::Edge, source, destination: config.workload.to_string() });
        Self { config, engine, metrics, spans, traffic }
    }

    /// Serves one connection, in a task of its own.
    pub(crate) fn spawn(self: Arc<Self>, stream: TcpStream, from: SocketAddr, drain: DrainWatch) {
        task::spawn("edge connection", self.serve(stream, from, drain));
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, from: SocketAddr, drain: DrainWatch) {
        let _open = self.metrics.connection(Side::Edge);
        let ending = Ending { drain, lifetime: Lifetime::UNLIMITED };
        let stranger = Stranger { edge: self, from, ending: ending.clone() };
        listen::detect_and_serve(stream, Arc::new(stranger), ending).await;
    }
}

/// The requests of one connection from outside.
#[derive(Debug)]
struct Stranger {
    edge: Arc<Edge>,
    from: SocketAddr,
    ending: Ending,
}

impl Handler for Stranger {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, verdict: Option<Verdict>) -> Response<Body> {
        let edge = &self.edge;
        let is_grpc = is_grpc(request.headers());

        // Gate.
        if let Some(malformed) = verdict.as_ref().and_then(Verdict::take) {
            return rescue::malformed(&malformed, is_grpc, &edge.metrics);
        }
        let (parts, body) = request.into_parts();
        if let Err(malformed) = gate::check_request(&parts) {
            return rescue::malformed(&malformed, is_grpc, &edge.metrics);
        }
        if parts.method == Method::CONNECT {
            let refusal =
                Malformed { status: StatusCode::METHOD_NOT_ALLOWED, detail: "the edge opens no tunnels".into() };
            return rescue::malformed(&refusal, is_grpc, &edge.metrics);
        }
        let version = parts.version;
        let (request, switch) = tunnel::asked(Request::from_parts(parts, body), verdict);
        let mut request = request.map(|body| Body::received(body, version));

        // Call context: a new trace; the stranger's own becomes a link.
        let strangers = TraceContext::parse(request.headers());
        let context = TraceContext::new_root(edge.config.samples());
        let begin = (SpanKind::Server, Side::Edge);
        let mut observation = Observation::begin(&edge.spans, begin, &context, None, &request, edge.traffic.begin());
        observation.describe(|record| {
            record.links.extend(strangers);
            record.set(attribute::CLIENT_ADDRESS, self.from.ip().to_string().as_str());
            record.set(attribute::URL_SCHEME, "http");
        });

        // Claims, route, forward.
        let answered = match self.claim(&mut request, &context, switch.is_some()) {
            Ok(authority) => self.forward(request, authority, context, &mut observation).await,
            Err(failure) => Err(failure),
        };
        let mut response = answered.unwrap_or_else(|failure| {
            observation.rescued(&failure);
            rescue::answer(&failure, is_grpc, &edge.metrics)
        });
        context.inject_response(response.headers_mut());
        let response = observation.answered(response);
        tunnel::answered(response, switch, &self.ending, || edge.metrics.connection(Side::Edge))
    }
}

impl Stranger {
    /// Replaces what the stranger claims by what the edge knows.
    fn claim(
        &self,
        request: &mut Request<Body>,
        context: &TraceContext,
        is_websocket: bool,
    ) -> Result<http::uri::Authority, Failure> {
        let authority = authority(request)?;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers).map_err(|error| Failure::new(Reason::Malformed).detail(error.to_string()))?;
        remove_claims(headers);
        if is_websocket {
            say_websocket(headers);
        }
        let known = |text: &str| HeaderValue::from_str(text).map_err(|_invalid| Failure::new(Reason::Malformed));
        headers.insert(FORWARDED_FOR, known(&self.from.ip().to_string())?);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        headers.insert(FORWARDED_HOST, known(authority.as_str())?);
        context.inject(headers);
        Ok(authority)
    }

    async fn forward(
        &self,
        mut request: Request<Body>,
        authority: http::uri::Authority,
        parent: TraceContext,
        observation: &mut Observation,
    ) -> Result<Response<Body>, Failure> {
        let routed = self.edge.engine.route(&RoutesOf::Edge, request.uri_mut()).await?;
        observation.routed(routed.pattern());
        let mut response = self.edge.engine.forward(&Outgoing { routed, authority, parent }, request).await?;
        remove_hop_by_hop(response.headers_mut())
            .map_err(|error| Failure::new(Reason::UpstreamReset).caused_by(error))?;
        Ok(response)
    }
}
