//! Callers: members of the mesh that speak to a sidecar directly, and HTTP/2 clients.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use samspill_identity::{Identity, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::app::HEAD_BYTES;
use super::world::World;
use crate::web;

pub(super) type Body = BoxBody<Bytes, Infallible>;
pub(super) type Http1 = http1::SendRequest<Body>;
pub(super) type Http2 = http2::SendRequest<Body>;

pub(super) const HTTP1: &[u8] = b"http/1.1";
pub(super) const HTTP2: &[u8] = b"h2";

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Whole {
    pub(super) async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status: head.status, headers: head.headers, body: body.to_bytes(), trailers })
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Mutual TLS to a sidecar whose workload has this account.
pub(super) async fn connect(
    caller: &Identity,
    address: SocketAddr,
    account: &str,
    alpn: &[u8],
) -> web::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (stream, _peer) = caller.connect(stream, &[World::id(account)], &[alpn]).await?;
    Ok(stream)
}

pub(super) async fn http1<IO>(io: IO) -> Http1
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    // Its errors are those of its requests.
    tokio::spawn(async move { drop(connection.await) });
    sender
}

pub(super) async fn http2<IO>(io: IO) -> Http2
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// HTTP/2 with prior knowledge.
pub(super) async fn h2c(address: SocketAddr) -> Http2 {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    http2(stream).await
}

/// One request of HTTP/1 or HTTP/2 to a service, on a connection of its own.
pub(super) async fn ask(address: SocketAddr, is_http2: bool, request: Request<Body>) -> hyper::Result<Whole> {
    let response = if is_http2 {
        h2c(address).await.send_request(request).await?
    } else {
        let stream = TcpStream::connect(address).await.unwrap();
        http1(stream).await.send_request(request).await?
    };
    Whole::read(response).await
}

/// The form that a version of HTTP wants: an authority in the URI, or a `Host`.
pub(super) fn to(is_http2: bool, service: &str, path: &str) -> http::request::Builder {
    if is_http2 {
        Request::builder().uri(format!("http://{service}{path}"))
    } else {
        Request::builder().uri(path).header("host", service)
    }
}

/// A body whose length nobody knows.
pub(super) fn streamed(frames: impl Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(frames.map(Ok)))
}

pub(super) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed()
}
