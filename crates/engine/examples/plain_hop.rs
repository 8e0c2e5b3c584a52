//! One hop in the clear, for `cargo xtask bench proxy`: the gate and the engine of a sidecar, without its TLS and its
//! controller. No product does this: between our proxies there is no plaintext.
//!
//! `plain_hop LISTEN UPSTREAM`, both addresses; it serves until it is killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use samspill_engine::endpoint::{Endpoint, SendError};
use samspill_engine::headers::{adapt, remove_hop_by_hop};
use samspill_engine::metrics::{Metrics, Side, Traffic, TrafficKey};
use samspill_engine::{Body, Failure, Reason};
use samspill_model::intent::AppProtocol;
use samspill_net::gate::{self, Http1Guard, Limits};
use samspill_net::{Listener, task};

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let mut addresses = std::env::args().skip(1).map(|argument| argument.parse::<SocketAddr>());
    let (Some(listen), Some(upstream)) = (addresses.next(), addresses.next()) else {
        return Err("plain_hop LISTEN UPSTREAM".into());
    };
    let (listen, upstream) = (listen?, upstream?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = Listener::bind(listen).await?;
        let endpoint = Arc::new(Endpoint::plain(upstream, AppProtocol::Http1));
        let key = TrafficKey { side: Side::Inbound, source: "load".to_owned(), destination: "echo".to_owned() };
        let traffic = Metrics::default().traffic(key);
        loop {
            let (stream, _from) = listener.accept().await;
            let (guarded, verdict) = Http1Guard::new(stream, Limits::default());
            let verdict = Arc::new(verdict);
            let (endpoint, traffic) = (Arc::clone(&endpoint), Arc::clone(&traffic));
            let service = service_fn(move |request: Request<Incoming>| {
                let (endpoint, traffic) = (Arc::clone(&endpoint), Arc::clone(&traffic));
                let is_malformed = verdict.take().is_some();
                async move {
                    let answered = if is_malformed {
                        Err(Failure::new(Reason::Malformed))
                    } else {
                        forward(request, &endpoint, &traffic).await
                    };
                    Ok::<_, Infallible>(answered.unwrap_or_else(|failure| refuse(&failure)))
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(guarded), service);
            task::spawn("connection", async move { drop(connection.await) });
        }
    })
}

async fn forward(
    request: Request<Incoming>,
    endpoint: &Arc<Endpoint>,
    traffic: &Arc<Traffic>,
) -> Result<Response<Body>, Failure> {
    let malformed = |_error| Failure::new(Reason::Malformed);
    let mut counted = traffic.begin();
    let (parts, body) = request.into_parts();
    gate::check_request(&parts).map_err(|_malformed| Failure::new(Reason::Malformed))?;
    let host = parts.headers.get("host").ok_or_else(|| Failure::new(Reason::Malformed))?;
    let authority = host.as_bytes().try_into().map_err(|_invalid| Failure::new(Reason::Malformed))?;
    let body = Body::received(body, parts.version);
    let mut request = Request::from_parts(parts, body);
    remove_hop_by_hop(request.headers_mut()).map_err(malformed)?;
    adapt(&mut request, &authority, AppProtocol::Http1)?;
    let mut response = endpoint.send(request).await.map_err(|error| match error {
        SendError::Unsent(failure, _) | SendError::Lost(failure) => failure,
    })?;
    remove_hop_by_hop(response.headers_mut()).map_err(malformed)?;
    counted.answered(response.status());
    Ok(response)
}

fn refuse(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = failure.reason.status();
    response
}
