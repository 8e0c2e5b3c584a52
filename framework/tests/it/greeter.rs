//! A gRPC service and its client, as tonic would generate them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use http::uri::PathAndQuery;
use samspill::{Call, Channel, Problem};
use tonic::body::Body;
use tonic::client::Grpc as Caller;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

type Codec = ProstCodec<String, String>;
type Words = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// What tonic would generate for `service Greeter { rpc Greet(Word) returns (Word); rpc Count(Word) returns (stream Word);
/// }`, where a `Word` has one `string value = 1`.
#[derive(Clone)]
pub(crate) struct GreeterServer;

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
                "forever" => std::future::pending().await,
                "timeout" => Ok(Response::new(format!("{:?}", request.metadata().get("grpc-timeout")))),
                "" => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nobody").field("value", "is empty").into()),
                "Bob" => Err(Problem::new(StatusCode::CONFLICT, "Greeted before")
                    .kind("urn:greeter:greeted-before")
                    .member("times", 2)
                    .into()),
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

    fn call(&mut self, request: Request<String>) -> Self::Future {
        if request.get_ref() == "forever" {
            let words = stream::iter([Ok("one".to_owned())]).chain(stream::pending());
            return Box::pin(async move { Ok(Response::new(words.boxed() as Words)) });
        }
        let words = ["one", "two"].map(|word| Ok(word.to_owned()));
        let end = Err(Status::resource_exhausted("two is all"));
        Box::pin(async move { Ok(Response::new(stream::iter(words.into_iter().chain([end])).boxed() as Words)) })
    }
}

pub(crate) async fn greet(channel: &Channel, call: &Call, path: &'static str, name: &str) -> Result<String, Status> {
    let mut caller = Caller::new(channel.call(call));
    caller.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    let answer = caller.unary(Request::new(name.to_owned()), path, Codec::default()).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn count(channel: &Channel, call: &Call) -> Words {
    let mut caller = Caller::new(channel.call(call));
    caller.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.Greeter/Count");
    let answer = caller.server_streaming(Request::new(String::new()), path, Codec::default()).await.unwrap();
    answer.into_inner().boxed()
}
