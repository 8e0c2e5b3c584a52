//! To our own workload: a caller that mutual TLS has proven, and a request from it.
//!
//! The phases: mutual TLS (who is it?) → gate → call context → forward to the app → observe. A handshake that fails is
//! logged and closed; everything after it is answered.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samspill_engine::connection::Lifetime;
use samspill_engine::endpoint::{Endpoint, SendError};
use samspill_engine::headers::{FORWARDED_CLIENT_CERT, adapt, is_grpc, remove_hop_by_hop, say_websocket};
use samspill_engine::metrics::{Metrics, Side, Traffic, TrafficKey};
use samspill_engine::observe::Observation;
use samspill_engine::reason::REASON_HEADER;
use samspill_engine::{Body, Failure, Reason};
use samspill_identity::{IdentityStore, Peer};
use samspill_model::identity::SpiffeId;
use samspill_model::snapshot::Inbound as InboundSnapshot;
use samspill_net::drain::{Drain, DrainWatch};
use samspill_net::gate::{self, HttpVersion, Malformed, Verdict};
use samspill_net::task;
use samspill_observability::context::TraceContext;
use samspill_observability::conventions::attribute;
use samspill_observability::export::SpanSender;
use samspill_observability::span::SpanKind;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::app::Shared;
use crate::config::Config;
use crate::listen::{self, Ending, Handler};
use crate::outbound::authority;
use crate::{rescue, tunnel};

/// What may be spoken to a sidecar: what the caller's discovery says that the app speaks.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// One container port of the own workload.
#[derive(Debug)]
pub(crate) struct Inbound {
    config: Arc<Config>,
    port: u16,
    identity: Arc<IdentityStore>,
    snapshot: watch::Receiver<Option<Arc<InboundSnapshot>>>,
    app: Mutex<Option<Arc<Endpoint>>>,
    metrics: Arc<Metrics>,
    spans: SpanSender,
    /// The whole proxy's.
    drain: Arc<Drain>,
}

impl Inbound {
    pub(crate) fn new(shared: &Shared, port: u16) -> Self {
        Self {
            config: Arc::clone(&shared.config),
            port,
            identity: Arc::clone(&shared.identity),
            snapshot: shared.inbound.clone(),
            app: Mutex::default(),
            metrics: Arc::clone(&shared.metrics),
            spans: shared.spans.clone(),
            drain: Arc::clone(&shared.drain),
        }
    }

    /// Serves one connection, in a task of its own.
    pub(crate) fn spawn(self: Arc<Self>, stream: TcpStream, drain: DrainWatch) {
        task::spawn("inbound connection", self.serve(stream, drain));
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, drain: DrainWatch) {
        let _open = self.metrics.connection(Side::Inbound);

        // Mutual TLS: without a certificate of our trust domain nothing is read.
        let identity = match self.identity.current() {
            // While draining, too: a late caller is served, and told to go.
            Some(identity) => identity,
            None => tokio::select! {
                identity = self.identity.ready() => identity,
                () = drain.started() => return,
            },
        };
        let accepted = identity.accept(stream, ALPN).await;
        self.metrics.handshake(Side::Inbound, accepted.is_ok());
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::info!(port = self.port, "refused a caller: {}", samspill_observability::chain(&error));
                return;
            }
        };

        let version = if peer.alpn == b"h2" { HttpVersion::Http2 } else { HttpVersion::Http1 };
        let ending = Ending { drain, lifetime: Lifetime::until(peer.not_after.min(identity.not_after)) };
        let caller = Arc::new(Caller::new(self, &identity.id, &peer, ending.lifetime));
        listen::serve(stream, version, caller, ending).await;
    }

    /// The own app, as of the newest snapshot.
    fn app(&self) -> Result<Arc<Endpoint>, Failure> {
        let port = self.snapshot.borrow().as_ref().and_then(|snapshot| snapshot.ports.get(&self.port).copied());
        let port = port.ok_or_else(|| Failure::new(Reason::NotReady))?;
        let mut app = self.app.lock().unwrap_or_else(PoisonError::into_inner);
        match &*app {
            Some(app) if app.address() == port.app && app.protocol() == port.protocol => Ok(Arc::clone(app)),
            _ => Ok(Arc::clone(app.insert(Arc::new(Endpoint::plain(port.app, port.protocol))))),
        }
    }
}

/// The requests of one proven caller.
#[derive(Debug)]
struct Caller {
    inbound: Arc<Inbound>,
    /// What the app is told of the caller.
    client_cert: HeaderValue,
    peer: String,
    traffic: Arc<Traffic>,
    /// Of what leaves HTTP. The app is told to go after the inbound side has drained, and only the app can end a WebSocket
    /// well: so that drain does not wait for them, and the whole proxy's does.
    tunnel_ending: Ending,
}

impl Caller {
    fn new(inbound: Arc<Inbound>, own: &SpiffeId, peer: &Peer, lifetime: Lifetime) -> Self {
        let key = TrafficKey {
            side: Side::Inbound,
            source: format!("{}/{}", peer.id.namespace, peer.id.service_account),
            destination: inbound.config.workload.to_string(),
        };
        let traffic = inbound.metrics.traffic(key);
        let client_cert = HeaderValue::from_str(&format!("By={own};URI={}", peer.id))
            .unwrap_or_else(|_invalid| unreachable!("a SPIFFE ID has visible ASCII characters only"));
        let tunnel_ending = Ending { drain: inbound.drain.watch(), lifetime };
        Self { inbound, client_cert, peer: peer.id.to_string(), traffic, tunnel_ending }
    }

    async fn forward(&self, mut request: Request<Body>, is_websocket: bool) -> Result<Response<Body>, Failure> {
        let authority = authority(&request)?;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers).map_err(|error| Failure::new(Reason::Malformed).detail(error.to_string()))?;
        if is_websocket {
            say_websocket(headers);
        }
        headers.insert(FORWARDED_CLIENT_CERT, self.client_cert.clone());

        let app = self.inbound.app()?;
        adapt(&mut request, &authority, app.protocol())?;
        let mut response = match app.send(request).await {
            Ok(response) => response,
            // The caller's sidecar may try another instance.
            Err(SendError::Unsent(failure, _request)) => {
                return Err(Failure::new(Reason::AppUnreachable).caused_by(failure));
            }
            Err(SendError::Lost(failure)) => return Err(failure),
        };
        let headers = response.headers_mut();
        remove_hop_by_hop(headers).map_err(|error| Failure::new(Reason::UpstreamReset).caused_by(error))?;
        // Only a sidecar may say this: the caller's believes it.
        headers.remove(REASON_HEADER);
        Ok(response)
    }
}

impl Handler for Caller {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, verdict: Option<Verdict>) -> Response<Body> {
        let is_grpc = is_grpc(request.headers());
        let metrics = &self.inbound.metrics;

        // Gate.
        if let Some(malformed) = verdict.as_ref().and_then(Verdict::take) {
            return rescue::malformed(&malformed, is_grpc, metrics);
        }
        let (parts, body) = request.into_parts();
        if let Err(malformed) = gate::check_request(&parts) {
            return rescue::malformed(&malformed, is_grpc, metrics);
        }
        if parts.method == Method::CONNECT {
            let detail = "a sidecar opens no tunnels to its workload".into();
            let refusal = Malformed { status: StatusCode::METHOD_NOT_ALLOWED, detail };
            return rescue::malformed(&refusal, is_grpc, metrics);
        }
        let version = parts.version;
        let (request, switch) = tunnel::asked(Request::from_parts(parts, body), verdict);
        let mut request = request.map(|body| Body::received(body, version));

        // Call context: the caller's sidecar has said whether this is traced.
        let parent = TraceContext::parse(request.headers());
        let context = match parent {
            Some(parent) if parent.sampled => parent.child(),
            Some(parent) => parent,
            None => TraceContext::new_root(false),
        };
        let mut observation = Observation::begin(
            &self.inbound.spans,
            (SpanKind::Server, Side::Inbound),
            &context,
            parent.map(|parent| parent.span_id),
            &request,
            self.traffic.begin(),
        );
        observation.describe(|record| record.set(attribute::SAMSPILL_PEER_IDENTITY, self.peer.as_str()));
        if context.sampled {
            context.inject(request.headers_mut());
        }

        // Forward and observe.
        let response = self.forward(request, switch.is_some()).await.unwrap_or_else(|failure| {
            observation.rescued(&failure);
            rescue::answer(&failure, is_grpc, metrics)
        });
        let response = observation.answered(response);
        tunnel::answered(response, switch, &self.tunnel_ending, || metrics.connection(Side::Inbound))
    }
}
