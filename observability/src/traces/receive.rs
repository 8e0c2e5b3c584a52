//! OTLP over gRPC, the server's side: into the store, and on to a collector.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use super::forward::{self, QUEUE_BYTES, Queue};
use super::store::Store;
use crate::otlp::{self, EndpointError};

/// Longest request taken, in bytes. Clients of other makers batch by number of spans and may go over gRPC's usual 4 MiB.
const REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// How long to wait when no connection can be accepted: the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the receiver ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The address to pass spans on to is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The address to pass spans on to is this receiver's own.
    #[error("`{0}` is where the spans are received: they would go round for ever; name Jaeger's address, or nothing")]
    ForwardsToItself(String),
    /// The listener cannot be used.
    #[error("cannot receive spans on this socket")]
    Listener(#[source] std::io::Error),
    /// The gRPC server gave up.
    #[error("the receiver of spans ended")]
    Serve(#[source] tonic::transport::Error),
}

/// Serves OTLP/gRPC on `listener` into `store`, and passes all on to `forward` (`http://127.0.0.1:4317`) in the
/// background: it may start later. Runs until it is dropped.
///
/// # Errors
/// [`ReceiveError`]: all of them come at once and are mistakes in the configuration, except the last.
pub async fn receive(
    listener: std::net::TcpListener,
    store: Arc<Store>,
    forward: Option<String>,
) -> Result<(), ReceiveError> {
    let local = listener.local_addr().map_err(ReceiveError::Listener)?;
    listener.set_nonblocking(true).map_err(ReceiveError::Listener)?;
    let listener = TcpListener::from_std(listener).map_err(ReceiveError::Listener)?;
    let collector = forward.as_deref().map(otlp::endpoint).transpose()?;
    if let Some(endpoint) = &collector
        && endpoint.uri().port_u16() == Some(local.port())
        && endpoint.uri().host().is_some_and(|host| is_this_machine(host, local.ip()))
    {
        return Err(ReceiveError::ForwardsToItself(endpoint.uri().to_string()));
    }
    match collector {
        None => serve(listener, store, None).await,
        Some(endpoint) => {
            let queue = Arc::new(Queue::new(QUEUE_BYTES));
            tokio::select! {
                ended = serve(listener, store, Some(Arc::clone(&queue))) => ended,
                never = forward_all(&queue, &endpoint) => never,
            }
        }
    }
}

async fn forward_all(queue: &Queue, endpoint: &Endpoint) -> Result<(), ReceiveError> {
    forward::run(queue, endpoint).await
}

async fn serve(listener: TcpListener, store: Arc<Store>, queue: Option<Arc<Queue>>) -> Result<(), ReceiveError> {
    let service = TraceServiceServer::new(Receiver { store, queue }).max_decoding_message_size(REQUEST_BYTES);
    Server::builder().add_service(service).serve_with_incoming(connections(listener)).await.map_err(ReceiveError::Serve)
}

/// Accepts for ever: tonic's own stream ends the server when the process is out of descriptors.
fn connections(listener: TcpListener) -> impl Stream<Item = Result<TcpStream, std::io::Error>> {
    stream::unfold(listener, |listener| async {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Some((Ok(connection), listener)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection that brings spans");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

fn is_this_machine(host: &str, own: IpAddr) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified() || ip == own)
}

struct Receiver {
    store: Arc<Store>,
    queue: Option<Arc<Queue>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        if let Some(queue) = &self.queue {
            queue.push(Bytes::from(request.encode_to_vec()));
        }
        let malformed = self.store.insert(request);
        let partial_success = (malformed > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(malformed).unwrap_or(i64::MAX),
            error_message: "a span has a trace id of 16 bytes and a span id of 8".to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[cfg(test)]
mod tests;
