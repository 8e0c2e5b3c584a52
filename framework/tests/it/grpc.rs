//! gRPC beside HTTP on one port, in and out.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::routing::get;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use http::uri::PathAndQuery;
use samspill::{Call, Channel, Problem, test};
use tonic::body::Body;
use tonic::client::Grpc as Caller;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

type Codec = ProstCodec<String, String>;
type Words = std::pin::Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// What tonic would generate for `service Greeter { rpc Greet(StringValue) returns (StringValue); rpc Count(..) returns
/// (stream StringValue); }`.
#[derive(Clone)]
struct GreeterServer;

impl NamedService for GreeterServer {
    const NAME: &'static str = "test.v1.Greeter";
}

impl tower::Service<http::Request<Body>> for GreeterServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Codec::default());
            Ok(match request.uri().path() {
                "/test.v1.Greeter/Greet" => grpc.unary(Greet, request).await,
                "/test.v1.Greeter/Count" => grpc.server_streaming(Count, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Greet;

impl UnaryService<String> for Greet {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let call = Call::from_request(&request);
            match request.get_ref().as_str() {
                "panic" => panic!("on purpose"),
                "" => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nobody").field("value", "is empty").into()),
                name => Ok(Response::new(format!("{name} in {:?}", call.trace_id()))),
            }
        })
    }
}

struct Count;

impl ServerStreamingService<String> for Count {
    type Response = String;
    type ResponseStream = Words;
    type Future = BoxFuture<'static, Result<Response<Words>, Status>>;

    fn call(&mut self, _request: Request<String>) -> Self::Future {
        let words = ["one", "two"].map(|word| Ok(word.to_owned()));
        let end = Err(Status::resource_exhausted("two is all"));
        Box::pin(async move { Ok(Response::new(stream::iter(words.into_iter().chain([end])).boxed() as Words)) })
    }
}

async fn server() -> test::Server {
    let service = test::service("test", []).grpc(GreeterServer);
    test::Server::start(service, Router::new().route("/", get(async || "plain"))).await
}

async fn greet(channel: &Channel, path: &'static str, name: &str) -> Result<String, Status> {
    let mut caller = Caller::new(channel.call(&test::call()));
    caller.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    let answer = caller.unary(Request::new(name.to_owned()), path, Codec::default()).await;
    answer.map(Response::into_inner)
}

#[tokio::test]
async fn grpc_and_http_share_a_port() {
    let server = server().await;
    let channel = server.channel();
    assert_eq!(greet(&channel, "/test.v1.Greeter/Greet", "Ada").await.unwrap(), "Ada in None");
    assert_eq!(server.client().get(&test::call(), "/").send().await.unwrap().text().await.unwrap(), "plain");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_arrives_with_its_trailers() {
    let server = server().await;
    let mut caller = Caller::new(server.channel().call(&test::call()));
    caller.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.Greeter/Count");
    let answer = caller.server_streaming(Request::new(String::new()), path, Codec::default()).await.unwrap();
    let words: Vec<_> = answer.into_inner().map(|word| word.map_err(|status: Status| status.code())).collect().await;
    assert_eq!(words, [Ok("one".to_owned()), Ok("two".to_owned()), Err(Code::ResourceExhausted)]);
    server.stop().await;
}

#[tokio::test]
async fn errors_are_statuses() {
    let server = server().await;
    let channel = server.channel();
    let code = async |path, name| {
        let status = greet(&channel, path, name).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    assert_eq!(code("/test.v1.Greeter/Greet", "").await, (Code::InvalidArgument, "Nobody; value: is empty".to_owned()));
    assert_eq!(code("/test.v1.Greeter/Greet", "panic").await, (Code::Internal, "Internal Server Error".to_owned()));
    assert_eq!(code("/test.v1.Other/Greet", "Ada").await.0, Code::Unimplemented);
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable() {
    let server = server().await;
    let channel = server.channel();
    server.stop().await;
    let status = greet(&channel, "/test.v1.Greeter/Greet", "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Problem::from(status).status(), StatusCode::SERVICE_UNAVAILABLE);
}
