//! What these tests share.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use samspill::test;
use samspill_net::{connect, task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far longer than anything here takes.
pub(crate) const GENEROUS: Duration = Duration::from_secs(30);

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    connect::tcp(address, GENEROUS).await.unwrap()
}

/// What a server says to these bytes until it closes the connection.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.unwrap();
    rest(stream).await
}

/// Everything that is still to come.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(GENEROUS, stream.read_to_end(&mut answer)).await.expect("the server closes").unwrap();
    String::from_utf8(answer).unwrap()
}

/// Head and body of an answer as it was on the wire.
pub(crate) fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// An HTTP/2 connection, and the task that drives it.
pub(crate) async fn http2(address: SocketAddr) -> (http2::SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(connect(address).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    (sender, task::spawn("connection", connection))
}

/// A handler's future holds one end; the other learns when that future is dropped.
pub(crate) fn drop_signal() -> (oneshot::Sender<()>, impl Future<Output = ()>) {
    let (held, dropped) = oneshot::channel();
    let dropped = async {
        tokio::time::timeout(GENEROUS, dropped).await.expect("the handler is dropped").expect_err("it never sends");
    };
    (held, dropped)
}

/// Calls a gRPC method that takes a text, with these headers: its `grpc-status`, as it is on the wire.
pub(crate) async fn raw_rpc(server: &test::Server, path: &str, headers: &[(&str, &str)], text: &str) -> String {
    let (mut sender, driving) = http2(server.address()).await;
    let length = u8::try_from(text.len()).unwrap();
    let mut message = vec![0, 0, 0, 0, length + 2, 10, length];
    message.extend_from_slice(text.as_bytes());
    let request = Request::post(server.url(path)).header("content-type", "application/grpc").header("te", "trailers");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = sender.send_request(request.body(Full::new(message.into())).unwrap()).await.unwrap();
    let head = answer.headers().clone();
    let trailers = answer.into_body().collect().await.unwrap().trailers().cloned();
    drop(sender);
    driving.await.unwrap().unwrap();
    trailers.unwrap_or(head)["grpc-status"].to_str().unwrap().to_owned()
}
