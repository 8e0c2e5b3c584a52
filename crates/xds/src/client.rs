//! The proxy's end: says what is needed, follows the names, applies, acknowledges, and never ends.
//!
//! `state` holds what is known, without any I/O; this file is the stream and its loss. What was known stays in force
//! while there is no stream.

mod state;

use std::convert::Infallible;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use samspill_model::name::{InstanceName, ServicePort};
use samspill_model::snapshot::{Backend, Inbound, RouteTable};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::{MAX_MESSAGE_BYTES, USER_AGENT};
use state::State;

/// The first pause after a stream has ended. A restarted controller must be found soon: first calls to new names wait for it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long connecting, handshake and the response's head may take together. A suspended controller accepts and says nothing.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What a proxy needs. Each is subscribed to from then on; saying it twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The routes for calls to a service port, and all backends that they name.
    Service(ServicePort),
    /// The edge's routes, and all backends that they name.
    Edge,
    /// What a sidecar does with calls to its instance.
    Inbound(InstanceName),
}

/// Whose routes a table is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKey {
    /// Calls to this service port.
    Service(ServicePort),
    /// Strangers' calls at the edge.
    Edge,
}

/// What is new. Only changes are told, and `None` means that the server says that there is no such thing (or, where nothing
/// better was known, that what it sent could not be understood).
///
/// A table is told only after every backend that it names has been told. A backend that no table in force names any more
/// is told as `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Where calls go.
    Routes(RouteKey, Option<RouteTable>),
    /// The endpoints behind a name.
    Backend(ServicePort, Option<Backend>),
    /// What to do with calls to the instance.
    Inbound(InstanceName, Option<Inbound>),
}

/// Keeps a proxy configured for ever.
///
/// `channel` is called once per attempt, so that each has the certificate of the day. `node_id` is the instance's name, or
/// `edge`. `apply` is called in order and has taken effect when it returns: the acknowledgement follows.
///
/// The channel should have HTTP/2 keep-alive, or a server that vanishes without a word is noticed only by the kernel.
pub async fn run(
    channel: impl Fn() -> Channel + Send,
    node_id: String,
    mut wanted: mpsc::UnboundedReceiver<Wanted>,
    mut apply: impl FnMut(Update) + Send,
) -> Infallible {
    let mut state = State::default();
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        let end = stream(channel(), &node_id, &mut wanted, &mut state, &mut apply).await;
        if start.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let jittered = pause.mul_f64(rand::random_range(0.5..=1.0));
        tracing::info!(reason = %end, retry_in_ms = jittered.as_millis(), "no configuration stream; the last good stays in force");
        sleep(jittered).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One stream, from its first request to its end; returns why it ended.
async fn stream(
    channel: Channel,
    node_id: &str,
    wanted: &mut mpsc::UnboundedReceiver<Wanted>,
    state: &mut State,
    apply: &mut (impl FnMut(Update) + Send),
) -> Status {
    // Phase 1: say who we are and all that we have.
    while let Ok(wanted) = wanted.try_recv() {
        state.want(wanted);
    }
    let (requests, outgoing) = mpsc::unbounded_channel();
    let mut opening = state.open(apply);
    if let Some(first) = opening.first_mut() {
        first.node = Some(node(node_id));
    }
    send(&requests, opening);

    // Phase 2: connect. What is wanted meanwhile waits in its channel.
    let mut client = AggregatedDiscoveryServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let opened = timeout(OPEN_TIMEOUT, client.delta_aggregated_resources(UnboundedReceiverStream::new(outgoing))).await;
    let mut responses = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return status,
        Err(_elapsed) => return Status::deadline_exceeded("the control plane does not answer"),
    };
    tracing::info!("a configuration stream is open");

    // Phase 3: subscribe and apply until it ends.
    loop {
        tokio::select! {
            Some(wanted) = wanted.recv() => {
                state.want(wanted);
                send(&requests, state.settle(apply));
            }
            response = responses.message() => match response {
                Ok(Some(response)) => send(&requests, state.receive(response, apply)),
                Ok(None) => return Status::unavailable("the control plane has ended the stream"),
                Err(status) => return status,
            },
        }
    }
}

/// Queues requests. If the stream is gone, its end is about to be read, and the next one starts from the state.
fn send<T>(requests: &mpsc::UnboundedSender<T>, new: Vec<T>) {
    for request in new {
        drop(requests.send(request));
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        user_agent_name: USER_AGENT.to_owned(),
        locality: Some(Locality::default()),
        ..Node::default()
    }
}
