//! One request to a process of ours: probes, readiness of a proxy, and the call to drain.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Connect(#[from] samspill_net::connect::ConnectError),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no valid answer")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
}

/// Opens a connection and closes it again.
pub(crate) async fn connect(address: SocketAddr, timeout: Duration) -> Result<(), AskError> {
    samspill_net::connect::tcp(address, timeout).await?;
    Ok(())
}

/// Sends one request on a connection of its own and returns the answer's status.
pub(crate) async fn ask(
    method: Method,
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
    timeout: Duration,
) -> Result<StatusCode, AskError> {
    let request = request(method, address, path, headers)?;
    let asking = async {
        let stream = samspill_net::connect::tcp(address, timeout).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = sender.send_request(request);
        tokio::pin!(connection, answer);
        // The connection does the work and only ends once it has delivered the answer or failed.
        tokio::select! {
            answer = &mut answer => Ok(answer?.status()),
            ended = &mut connection => {
                ended?;
                Ok(answer.await?.status())
            }
        }
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(AskError::Timeout(timeout)),
    }
}

fn request(
    method: Method,
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::builder().method(method).uri(path).body(Empty::new())?;
    let fields = request.headers_mut();
    for (name, value) in headers {
        fields.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    if !fields.contains_key(header::HOST) {
        fields.insert(header::HOST, HeaderValue::try_from(address.to_string())?);
    }
    if !fields.contains_key(header::USER_AGENT) {
        fields.insert(header::USER_AGENT, HeaderValue::from_static("samspill-probe"));
    }
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}
