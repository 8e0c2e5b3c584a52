//! A gRPC service with all four kinds of calls, and its client. Messages are text.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Buf as _, BufMut as _};
use futures_util::{Stream, StreamExt as _};
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn as hyper_service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::service_fn;

pub(super) type Client = tonic::client::Grpc<Channel>;

pub(super) const UNARY: PathAndQuery = PathAndQuery::from_static("/test.Echo/Unary");
pub(super) const CLIENT: PathAndQuery = PathAndQuery::from_static("/test.Echo/Client");
pub(super) const SERVER: PathAndQuery = PathAndQuery::from_static("/test.Echo/Server");
pub(super) const BOTH: PathAndQuery = PathAndQuery::from_static("/test.Echo/Both");

/// What makes the service fail, where it is a message or a word of one.
pub(super) const FAIL: &str = "fail";

/// Text as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let mut bytes = vec![0; buf.remaining()];
        buf.copy_to_slice(&mut bytes);
        String::from_utf8(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A client that names a service and speaks to its own sidecar.
pub(super) fn client(outbound: SocketAddr, service: &str) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{outbound}")).unwrap();
    Client::new(endpoint.origin(format!("http://{service}").parse().unwrap()).connect_lazy())
}

pub(super) async fn unary(client: &mut Client, message: &str) -> Result<Response<String>, Status> {
    client.ready().await.unwrap();
    client.unary(Request::new(message.to_owned()), UNARY, Text).await
}

/// The service, on a port of its own.
pub(super) async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn answer(request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
    let mut grpc = server::Grpc::new(Text);
    match request.uri().path().to_owned() {
        path if path == UNARY.path() => {
            grpc.unary(
                service_fn(|request: Request<String>| async { check(request.into_inner()).map(Response::new) }),
                request,
            )
            .await
        }
        path if path == CLIENT.path() => grpc.client_streaming(service_fn(concatenate), request).await,
        path if path == SERVER.path() => {
            let words = |request: Request<String>| async { Ok(Response::new(words(&request.into_inner()))) };
            grpc.server_streaming(service_fn(words), request).await
        }
        path if path == BOTH.path() => {
            let each = |request: Request<Streaming<String>>| async { Ok(Response::new(shout(request.into_inner()))) };
            grpc.streaming(service_fn(each), request).await
        }
        _ => Status::unimplemented("no such method").into_http(),
    }
}

fn check(message: String) -> Result<String, Status> {
    if message != FAIL {
        return Ok(message);
    }
    let mut status = Status::new(Code::FailedPrecondition, "it was told to: 100 %");
    status.metadata_mut().insert("x-why", "because".parse().unwrap());
    Err(status)
}

async fn concatenate(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut messages = request.into_inner();
    let mut all = String::new();
    while let Some(message) = messages.message().await? {
        all.push_str(&check(message)?);
    }
    Ok(Response::new(all))
}

fn words(text: &str) -> impl Stream<Item = Result<String, Status>> + use<> {
    let words: Vec<_> = text.split(' ').map(|word| check(word.to_owned())).collect();
    futures_util::stream::iter(words)
}

/// Answers each message as soon as it comes.
fn shout(mut messages: Streaming<String>) -> ReceiverStream<Result<String, Status>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let answer = message.and_then(check).map(|message| message.to_uppercase());
            let failed = answer.is_err();
            if sender.send(answer).await.is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}
