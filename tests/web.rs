//! A small HTTP client: one connection per request, so that nothing is tried again behind a test's back.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer takes on two busy cores.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Reply> {
    send(address, Request::get(path).body(String::new())?).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &serde_json::Value) -> Result<Reply> {
    let request = Request::post(path).header("content-type", "application/json");
    send(address, request.body(body.to_string())?).await
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, mut request: Request<String>) -> Result<Reply> {
    if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", address.to_string().parse()?);
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    over(stream, request).await
}

/// Sends bytes as they are, and returns all that comes back until the other end closes the connection.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8(answer)?)
    };
    tokio::time::timeout(TIMEOUT, exchange).await?
}

/// Sends a request over a given connection.
pub(crate) async fn over<IO>(io: IO, mut request: Request<String>) -> Result<Reply>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    request.headers_mut().entry("host").or_insert("test".parse()?);
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let driver = tokio::spawn(connection);
        let response: Response<_> = sender.send_request(request.map(Full::<bytes::Bytes>::from)).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        driver.abort();
        Ok(Reply { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec())? })
    };
    tokio::time::timeout(TIMEOUT, exchange).await?
}
