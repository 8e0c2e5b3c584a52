//! WebSockets: a request that leaves HTTP, and the two connections that are joined when its answer has left it too.
//!
//! The handshake is forwarded as every request is, but on a connection of its own. From a 101 on the bytes are nobody's
//! business but those of the two ends: they are copied both ways, until both sides have ended, one has broken, or a
//! certificate has.

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use samspill_engine::Body;
use samspill_engine::headers::{asks_for_websocket, say_websocket};
use samspill_engine::metrics::Connection;
use samspill_net::gate::Verdict;
use samspill_net::task;

use crate::listen::Ending;

/// The downstream connection of a request that asks for a WebSocket.
pub(crate) struct Switch {
    downstream: OnUpgrade,
    verdict: Verdict,
}

/// Whether the request asks for a WebSocket and nothing else. Anything else that it may ask for is for this hop, and gets
/// no answer.
pub(crate) fn asked(mut request: Request<Incoming>, verdict: Option<Verdict>) -> (Request<Incoming>, Option<Switch>) {
    let downstream = request.extensions_mut().remove::<OnUpgrade>();
    let asks = asks_for_websocket(&request) && request.body().is_end_stream();
    let switch = match (verdict, downstream) {
        (Some(verdict), Some(downstream)) if asks => Some(Switch { downstream, verdict }),
        _ => None,
    };
    (request, switch)
}

/// Joins the two connections if the answer is a 101; any other answer stays as it is.
pub(crate) fn answered(
    mut response: Response<Body>,
    switch: Option<Switch>,
    ending: &Ending,
    open: impl FnOnce() -> Connection,
) -> Response<Body> {
    let Some(Switch { downstream, verdict }) = switch else { return response };
    let upstream = response.extensions_mut().remove::<OnUpgrade>();
    let (StatusCode::SWITCHING_PROTOCOLS, Some(upstream)) = (response.status(), upstream) else {
        // What a hasty client has sent behind its handshake is not for us, and must not be read as another request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    let (mut parts, body) = response.into_parts();
    say_websocket(&mut parts.headers);
    verdict.tunnel();
    let Ending { drain, lifetime } = ending.clone();
    // The body has no bytes, but counts the request until it is dropped.
    let counted = (body, open(), drain);
    task::spawn("websocket", async move {
        tokio::select! {
            () = join(downstream, upstream) => {}
            () = lifetime.ended() => {}
        }
        drop(counted);
    });
    Response::from_parts(parts, Body::empty())
}

async fn join(downstream: OnUpgrade, upstream: OnUpgrade) {
    let (mut downstream, mut upstream) = match tokio::try_join!(downstream, upstream) {
        Ok((downstream, upstream)) => (io(downstream), io(upstream)),
        Err(error) => {
            tracing::debug!(%error, "a websocket was not opened");
            return;
        }
    };
    if let Err(error) = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await {
        tracing::debug!(%error, "a websocket broke");
    }
}

fn io(upgraded: Upgraded) -> TokioIo<Upgraded> {
    TokioIo::new(upgraded)
}
