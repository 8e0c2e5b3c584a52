//! gRPC beside HTTP on one port, in and out.

use axum::Router;
use axum::routing::get;
use futures_util::StreamExt;
use http::StatusCode;
use samspill::{Problem, test};
use tonic::{Code, Status};

use crate::greeter::{GreeterServer, count, greet};

async fn server() -> test::Server {
    let service = test::service("test", []).grpc(GreeterServer);
    test::Server::start(service, Router::new().route("/", get(async || "plain"))).await
}

#[tokio::test]
async fn grpc_and_http_share_a_port() {
    let server = server().await;
    let channel = server.channel();
    assert_eq!(greet(&channel, &test::call(), "/test.v1.Greeter/Greet", "Ada").await.unwrap(), "Ada in None");
    assert_eq!(server.client().get(&test::call(), "/").send().await.unwrap().text().await.unwrap(), "plain");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_arrives_with_its_trailers() {
    let server = server().await;
    let words: Vec<_> = count(&server.channel(), &test::call())
        .await
        .map(|word| word.map_err(|status: Status| status.code()))
        .collect()
        .await;
    assert_eq!(words, [Ok("one".to_owned()), Ok("two".to_owned()), Err(Code::ResourceExhausted)]);
    server.stop().await;
}

#[tokio::test]
async fn errors_are_statuses() {
    let server = server().await;
    let channel = server.channel();
    let code = async |path, name| {
        let status = greet(&channel, &test::call(), path, name).await.unwrap_err();
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
    let status = greet(&channel, &test::call(), "/test.v1.Greeter/Greet", "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Problem::from(status).status(), StatusCode::SERVICE_UNAVAILABLE);
}
