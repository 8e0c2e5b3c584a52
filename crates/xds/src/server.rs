//! The control plane's end: delta ADS, one task per stream, always the newest snapshot.
//!
//! [`AdsServer`] is the gRPC service; `session` is what one stream has been told and has said, without any I/O;
//! [`Acks`] tells the rest of the controller how far each proxy is.

mod acks;
mod session;

use std::fmt;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use samspill_model::identity::SpiffeId;
use samspill_net::task;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::MAX_MESSAGE_BYTES;
use crate::render::Resources;

pub use acks::Acks;
use session::Session;

/// Whether a peer may speak as a node and have that instance's `Inbound`: asked with the identity that its certificate
/// proves and the name that it claims, an instance's or [`EDGE_ROUTES`](samspill_model::snapshot::EDGE_ROUTES).
pub type Authorise = dyn Fn(&SpiffeId, &str) -> bool + Send + Sync;

/// Responses that wait for the network. More than a push needs, so that a push seldom waits in its middle.
const QUEUED_RESPONSES: usize = 16;

/// The aggregated discovery service.
///
/// The caller's identity is the [`SpiffeId`] that whoever accepted the connection has put into the request's extensions.
///
/// # Security
/// Without that extension every stream is refused.
#[derive(Clone)]
pub struct AdsServer {
    resources: watch::Receiver<Option<Arc<Resources>>>,
    acks: Acks,
    authorise: Arc<Authorise>,
}

impl AdsServer {
    /// The service. While `resources` is none, streams are accepted and wait; when its sender is gone, they end.
    pub fn new(
        resources: watch::Receiver<Option<Arc<Resources>>>,
        acks: Acks,
        authorise: impl Fn(&SpiffeId, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { resources, acks, authorise: Arc::new(authorise) }
    }

    /// The service for a tonic router.
    pub fn into_service(self) -> AggregatedDiscoveryServiceServer<Self> {
        AggregatedDiscoveryServiceServer::new(self)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Serves one stream until either end of it is gone.
    async fn serve(
        mut self,
        peer: SpiffeId,
        mut requests: Streaming<DeltaDiscoveryRequest>,
        responses: &mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    ) -> Result<(), Status> {
        // Phase 1: nothing is judged before the controller knows what it wants.
        if self.resources.wait_for(Option::is_some).await.is_err() {
            return Ok(());
        }

        // Phase 2: who is it?
        let Some(first) = requests.message().await? else { return Ok(()) };
        let node = first.node.clone().unwrap_or_default();
        if !(self.authorise)(&peer, &node.id) {
            return Err(Status::permission_denied(format!("{peer} may not speak as `{}`", node.id)));
        }
        tracing::info!(node = node.id, %peer, "a proxy has connected");
        let connection = self.acks.connect(&node.id);
        let authorise = Arc::clone(&self.authorise);
        let may_have_inbound = move |instance: &str| authorise(&peer, instance);
        let mut session = Session::new(node, may_have_inbound);

        // Phase 3: whatever happens, the proxy is told what it has not been told.
        let mut request = Some(first);
        loop {
            let mut news = Vec::new();
            if let Some(request) = request.take() {
                news.extend(session.receive(request)?);
            }
            let newest = self.resources.borrow_and_update().clone();
            if let Some(newest) = newest {
                news.extend(session.push(&newest));
            }
            for response in news {
                if responses.send(Ok(response)).await.is_err() {
                    return Ok(());
                }
            }
            connection.report(session.generation(), session.refusal());

            tokio::select! {
                next = requests.message() => match next? {
                    Some(next) => request = Some(next),
                    None => return Ok(()),
                },
                changed = self.resources.changed() => if changed.is_err() { return Ok(()) },
                () = responses.closed() => return Ok(()),
            }
        }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for AdsServer {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only the delta variant of ADS is served: use DeltaAggregatedResources"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let peer = request.extensions().get::<SpiffeId>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("the caller has no identity"))?;
        let requests = request.into_inner();
        let (responses, outgoing) = mpsc::channel(QUEUED_RESPONSES);
        let server = self.clone();
        task::spawn("ads-stream", async move {
            if let Err(status) = server.serve(peer, requests, &responses).await {
                tracing::info!(%status, "an ADS stream has ended");
                // The proxy may be gone, which is why it ended.
                drop(responses.send(Err(status)).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl fmt::Debug for AdsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdsServer").field("acks", &self.acks).finish_non_exhaustive()
    }
}
