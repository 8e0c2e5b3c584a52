//! One address of a backend: its load, and its pooled connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use samspill_model::intent::AppProtocol;
use samspill_net::task;
use tokio::time::Instant;

use crate::balance::{InFlight, Load};
use crate::body::Body;
use crate::connection::{self, Lifetime, MeshTls};
use crate::headers;
use crate::reason::{Failure, Reason};

/// How long a connection to another sidecar may be idle: those are ours on both ends, and the other one does not close.
const MESH_IDLE: Duration = Duration::from_secs(60);

/// How long a connection to an app may be idle: less than Node's 5 s, the shortest default of the common servers, so that
/// a request never meets a closing connection.
const APP_IDLE: Duration = Duration::from_secs(4);

/// Idle HTTP/1 connections per endpoint: a burst leaves no more behind.
const MAX_IDLE: usize = 256;

/// Streams on one HTTP/2 connection before another one is opened: below the 100 that servers commonly allow (RFC 9113
/// §6.5.2 asks them to).
const MAX_STREAMS: u32 = 96;

/// One address that a request can be sent to.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    protocol: AppProtocol,
    transport: Transport,
    pub(crate) load: Arc<Load>,
    http1: Mutex<Vec<Http1>>,
    http2: tokio::sync::Mutex<Http2Pool>,
    is_retired: AtomicBool,
}

/// What lies between this proxy and the endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    /// Loopback, to the own app.
    Plain,
    /// Mutual TLS, to another sidecar.
    Mesh(Arc<MeshTls>),
}

/// Why an endpoint did not answer.
#[derive(Debug)]
pub enum SendError {
    /// No byte of the request has reached an application. The request comes back if it is still whole.
    Unsent(Failure, Option<Box<Request<Body>>>),
    /// It may have been processed.
    Lost(Failure),
}

#[derive(Debug)]
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Body>,
    pub(crate) lifetime: Lifetime,
    pub(crate) idle_since: Instant,
}

#[derive(Debug, Default)]
struct Http2Pool {
    open: Vec<Http2>,
    /// When and why the last one could not be opened.
    failed: Option<(Instant, Reason)>,
}

#[derive(Debug)]
pub(crate) struct Http2 {
    pub(crate) sender: http2::SendRequest<Body>,
    pub(crate) lifetime: Lifetime,
    pub(crate) streams: Arc<AtomicU32>,
}

impl Endpoint {
    /// The own app, on loopback, in the clear.
    pub fn plain(address: SocketAddr, protocol: AppProtocol) -> Self {
        Self::new(address, protocol, Transport::Plain)
    }

    pub(crate) fn new(address: SocketAddr, protocol: AppProtocol, transport: Transport) -> Self {
        Self {
            address,
            protocol,
            transport,
            load: Arc::new(Load::new()),
            http1: Mutex::default(),
            http2: tokio::sync::Mutex::default(),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is spoken to it.
    pub fn protocol(&self) -> AppProtocol {
        self.protocol
    }

    pub(crate) fn is_mesh(&self) -> bool {
        matches!(self.transport, Transport::Mesh(_))
    }

    /// Closes what is idle and pools nothing any more: discovery has taken the endpoint away. What is in flight ends by
    /// itself.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.is_retired.store(true, Ordering::Relaxed);
        self.lock_http1().clear();
        let this = Arc::clone(self);
        task::spawn("retire endpoint", async move { this.http2.lock().await.open.clear() });
    }

    /// Sends a request on a pooled connection, else on a fresh one.
    ///
    /// A pooled connection that turns out to be closed has carried nothing: the next one is taken, and at last a fresh
    /// one.
    ///
    /// A 101 answers only a request that [`headers::say_websocket`] was called for. The connection is then in the answer
    /// ([`hyper::upgrade::on`]), and its place in the endpoint's load is held by the answer's body.
    ///
    /// # Errors
    /// [`SendError::Unsent`]: try another endpoint. [`SendError::Lost`]: do not.
    pub async fn send(self: &Arc<Self>, request: Request<Body>) -> Result<Response<Body>, SendError> {
        match self.protocol {
            AppProtocol::Http1 => self.send_http1(request).await,
            AppProtocol::Http2 => self.send_http2(request).await,
        }
    }

    async fn send_http1(self: &Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
        let in_flight = self.load.begin();
        // The proxy has put it there: what a caller says is for one hop. The connection will not come back, so it is a
        // fresh one.
        let asks_for_websocket = headers::says_websocket(request.headers());
        while !asks_for_websocket && let Some(mut connection) = self.pop_http1() {
            match connection.sender.try_send_request(request).await {
                Ok(response) => return self.answered_http1(response, connection, in_flight, false),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Lost(reset(error.into_error()))),
                },
            }
        }
        // Boxed, because every request's future would else have room for a handshake.
        let mut connection = match Box::pin(connection::open_http1(self.address, &self.transport)).await {
            Ok(connection) => connection,
            Err(failure) => return Err(SendError::Unsent(failure, Some(Box::new(request)))),
        };
        match connection.sender.try_send_request(request).await {
            Ok(response) => self.answered_http1(response, connection, in_flight, asks_for_websocket),
            Err(mut error) => Err(match error.take_message() {
                Some(unsent) => SendError::Unsent(reset(error.into_error()), Some(Box::new(unsent))),
                None => SendError::Lost(reset(error.into_error())),
            }),
        }
    }

    fn answered_http1(
        self: &Arc<Self>,
        response: Response<Incoming>,
        connection: Http1,
        in_flight: InFlight,
        asked_for_websocket: bool,
    ) -> Result<Response<Body>, SendError> {
        let has_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if has_switched && !(asked_for_websocket && headers::says_websocket(response.headers())) {
            // What follows is neither HTTP nor what was asked for.
            return Err(SendError::Lost(
                Failure::new(Reason::UpstreamReset).caused_by("it switched protocols, unasked"),
            ));
        }
        let give_back =
            Return { _in_flight: in_flight, connection: Used::Http1(Arc::clone(self), Box::new(connection)) };
        Ok(Body::upstream(response, give_back))
    }

    async fn send_http2(self: &Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
        let in_flight = self.load.begin();
        loop {
            let (mut sender, stream, is_fresh) = match self.stream().await {
                Ok(stream) => stream,
                Err(failure) => return Err(SendError::Unsent(failure, Some(Box::new(request)))),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let give_back = Return { _in_flight: in_flight, connection: Used::Http2(stream) };
                    return Ok(Body::upstream(response, give_back));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_fresh => {
                        return Err(SendError::Unsent(reset(error.into_error()), Some(Box::new(unsent))));
                    }
                    Some(unsent) => request = unsent,
                    None if was_refused(error.error()) => {
                        return Err(SendError::Unsent(reset(error.into_error()), None));
                    }
                    None => return Err(SendError::Lost(reset(error.into_error()))),
                },
            }
        }
    }

    /// Room for one more stream: on a pooled connection, else on a fresh one. Callers that come while one connects wait
    /// for it, so that a burst opens one connection and not one each; when it fails, it has failed for all of them.
    async fn stream(&self) -> Result<(http2::SendRequest<Body>, Stream, bool), Failure> {
        let asked = Instant::now();
        let mut pool = self.http2.lock().await;
        pool.open.retain(|connection| !connection.sender.is_closed() && !connection.lifetime.is_over());
        let has_room = |connection: &&Http2| connection.streams.load(Ordering::Relaxed) < MAX_STREAMS;
        if let Some(connection) = pool.open.iter().find(has_room) {
            return Ok((connection.sender.clone(), Stream::new(&connection.streams), false));
        }
        if let Some((at, reason)) = pool.failed
            && at > asked
        {
            return Err(Failure::new(reason).caused_by("the connection that this request waited for has failed"));
        }
        match Box::pin(connection::open_http2(self.address, &self.transport)).await {
            Ok(connection) => {
                let taken = (connection.sender.clone(), Stream::new(&connection.streams), true);
                if !self.is_retired.load(Ordering::Relaxed) {
                    pool.open.push(connection);
                }
                Ok(taken)
            }
            Err(failure) => {
                pool.failed = Some((Instant::now(), failure.reason));
                Err(failure)
            }
        }
    }

    /// The connection that was used last and is still good: the others may grow old and be closed.
    fn pop_http1(&self) -> Option<Http1> {
        let mut idle = self.lock_http1();
        while let Some(connection) = idle.pop() {
            if self.is_usable(&connection) {
                return Some(connection);
            }
        }
        None
    }

    fn push_http1(&self, mut connection: Http1) {
        if self.is_retired.load(Ordering::Relaxed) {
            return;
        }
        connection.idle_since = Instant::now();
        let mut idle = self.lock_http1();
        // The oldest are in front.
        let stale = idle.iter().take_while(|connection| !self.is_usable(connection)).count();
        idle.drain(..stale);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    fn is_usable(&self, connection: &Http1) -> bool {
        let limit = if self.is_mesh() { MESH_IDLE } else { APP_IDLE };
        connection.sender.is_ready() && !connection.lifetime.is_over() && connection.idle_since.elapsed() < limit
    }

    fn lock_http1(&self) -> std::sync::MutexGuard<'_, Vec<Http1>> {
        self.http1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer's body holds until its end: the connection, and the place in the endpoint's load.
#[derive(Debug)]
pub(crate) struct Return {
    _in_flight: InFlight,
    connection: Used,
}

#[derive(Debug)]
enum Used {
    Http1(Arc<Endpoint>, Box<Http1>),
    Http2(#[expect(dead_code, reason = "counts the stream until it is dropped")] Stream),
}

impl Return {
    /// The answer is complete: its connection can carry another request.
    pub(crate) fn finish(self) {
        let Used::Http1(endpoint, mut connection) = self.connection else { return };
        if connection.sender.is_ready() {
            endpoint.push_http1(*connection);
        } else if !connection.sender.is_closed() {
            // The request's last bytes are still being written, or the connection has not been polled since.
            task::spawn("return connection", async move {
                if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(1), connection.sender.ready()).await {
                    endpoint.push_http1(*connection);
                }
            });
        }
    }
}

/// Counts a stream of an HTTP/2 connection until it is dropped.
#[derive(Debug)]
struct Stream(Arc<AtomicU32>);

impl Stream {
    fn new(streams: &Arc<AtomicU32>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn reset(error: hyper::Error) -> Failure {
    Failure::new(Reason::UpstreamReset).caused_by(error)
}

/// Whether the peer says that it has not begun to process the stream: REFUSED_STREAM, or a GOAWAY that leaves it out
/// (RFC 9113 §8.7).
fn was_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            // h2 gives a peer's GOAWAY to no other stream than those that it leaves out.
            let left_out = error.is_go_away() && error.is_remote();
            return refused || left_out;
        }
        source = error.source();
    }
    false
}
