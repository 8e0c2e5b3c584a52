//! gRPC beside HTTP on one port, in and out, and what comes with it: details of errors, health, reflection.

use axum::Router;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use samspill::{CallChannel, Problem, Service, test};
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as AlphaClient;

use crate::greeter::{GreeterServer, count, greet};
use crate::support::GENEROUS;

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

#[tokio::test]
async fn a_caller_reads_the_details_of_an_error() {
    let server = server().await;
    let channel = server.channel();
    let status = greet(&channel, &test::call(), "/test.v1.Greeter/Greet", "Bob").await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    let problem = Problem::from_status(&status);
    assert_eq!((problem.status(), problem.kind_uri()), (StatusCode::CONFLICT, "urn:greeter:greeted-before"));
    assert_eq!((problem.title(), problem.members()["times"].clone()), ("Greeted before", json!(2)));
    let status = greet(&channel, &test::call(), "/test.v1.Greeter/Greet", "").await.unwrap_err();
    assert_eq!(Problem::from_status(&status).errors()[0].field, "value");
    server.stop().await;
}

fn health(server: &test::Server) -> HealthClient<CallChannel> {
    HealthClient::new(server.channel().call(&test::call()))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn a_service_with_grpc_tells_its_health() {
    let server = server().await;
    for service in ["", "test.v1.Greeter"] {
        let answer = health(&server).check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health(&server).check(of("test.v1.Other")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    server.stop().await;

    let without = test::Server::start(test::service("test", []), Router::new()).await;
    assert_eq!(health(&without).check(of("")).await.unwrap_err().code(), Code::Unimplemented);
    without.stop().await;
}

#[tokio::test]
async fn a_watch_of_health_ends_with_the_drain() {
    let server = server().await;
    let mut watches = Vec::new();
    for (service, now) in [("test.v1.Greeter", ServingStatus::Serving), ("no.Other", ServingStatus::ServiceUnknown)] {
        let mut watch = health(&server).watch(of(service)).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), now, "{service}");
        watches.push(watch);
    }
    server.drain();
    let [mut known, mut unknown] = watches.try_into().unwrap();
    let last = async {
        assert_eq!(known.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert_eq!(known.message().await.unwrap(), None);
        assert_eq!(unknown.message().await.unwrap(), None);
        server.stop().await;
    };
    tokio::time::timeout(GENEROUS, last).await.unwrap();
}

/// The encoded descriptors of `test/v1/greeter.proto`, which imports these files.
fn descriptors(imports: &[&str]) -> Vec<u8> {
    let value = FieldDescriptorProto {
        name: Some("value".to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..FieldDescriptorProto::default()
    };
    let method = |name: &str, is_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".test.v1.Word".to_owned()),
        output_type: Some(".test.v1.Word".to_owned()),
        server_streaming: Some(is_streaming),
        ..MethodDescriptorProto::default()
    };
    let service = |name: &str| ServiceDescriptorProto {
        name: Some(name.to_owned()),
        method: vec![method("Greet", false), method("Count", true)],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/v1/greeter.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        dependency: imports.iter().map(|&import| import.to_owned()).collect(),
        message_type: vec![DescriptorProto {
            name: Some("Word".to_owned()),
            field: vec![value],
            ..DescriptorProto::default()
        }],
        service: vec![service("Greeter"), service("NotMounted")],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

/// A service with a greeter that is described.
fn described(environment: &'static [(&'static str, &'static str)]) -> Service {
    let encoded: &'static [u8] = descriptors(&[]).leak();
    test::service("test", environment.iter().copied()).grpc(GreeterServer).descriptors(encoded)
}

fn question(question: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: String::new(), message_request: Some(question) }
}

/// The answers to questions on one stream, up to the first error.
async fn reflect(server: &test::Server, questions: &[MessageRequest]) -> Result<Vec<MessageResponse>, Status> {
    let mut client = ServerReflectionClient::new(server.channel().call(&test::call()));
    let questions: Vec<_> = questions.iter().cloned().map(question).collect();
    let mut answers = client.server_reflection_info(stream::iter(questions)).await?.into_inner();
    let mut found = Vec::new();
    while let Some(ServerReflectionResponse { message_response, .. }) = answers.message().await? {
        found.extend(message_response);
    }
    Ok(found)
}

fn list_services() -> MessageRequest {
    MessageRequest::ListServices(String::new())
}

#[tokio::test]
async fn in_development_a_service_describes_itself() {
    let server = test::Server::start(described(&[]), Router::new()).await;
    let greet = MessageRequest::FileContainingSymbol("test.v1.Greeter.Greet".to_owned());
    let health = MessageRequest::FileContainingSymbol("grpc.health.v1.Health".to_owned());
    let answers = reflect(&server, &[list_services(), greet, health]).await.unwrap();
    let [MessageResponse::ListServicesResponse(list), files @ ..] = &answers[..] else { panic!("{answers:?}") };
    let mut names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "test.v1.Greeter",
    ];
    assert_eq!(names, expected, "what is mounted, whatever else is described");
    let files = files.iter().map(|file| {
        let MessageResponse::FileDescriptorResponse(file) = file else { panic!("{file:?}") };
        FileDescriptorProto::decode(&file.file_descriptor_proto[0][..]).unwrap().name().to_owned()
    });
    assert_eq!(files.collect::<Vec<_>>(), ["test/v1/greeter.proto", "health.proto"]);

    // Older tools know nothing but v1alpha.
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let question = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = AlphaClient::new(server.channel().call(&test::call()));
    let mut answers = client.server_reflection_info(stream::iter([question])).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().unwrap().message_response.is_some());
    server.stop().await;
}

#[tokio::test]
async fn elsewhere_it_does_not() {
    const OUTBOUND: (&str, &str) = ("SAMSPILL_OUTBOUND", "http://127.0.0.1:9");
    let code = async |service| {
        let server = test::Server::start(service, Router::new()).await;
        let answers = reflect(&server, &[list_services()]).await;
        server.stop().await;
        answers.map_err(|status| status.code()).map(|answers| answers.len())
    };
    assert_eq!(code(described(&[OUTBOUND])).await, Err(Code::Unimplemented));
    assert_eq!(code(described(&[("SAMSPILL_DEVELOPMENT", "0")])).await, Err(Code::Unimplemented));
    assert_eq!(code(described(&[OUTBOUND, ("SAMSPILL_DEVELOPMENT", "1")])).await, Ok(1));
    assert_eq!(code(test::service("test", []).grpc(GreeterServer)).await, Err(Code::Unimplemented), "no descriptors");
}

#[tokio::test]
async fn a_tool_that_stays_does_not_hold_up_the_drain() {
    let server = test::Server::start(described(&[]), Router::new()).await;
    let questions = stream::iter([question(list_services())]).chain(stream::pending());
    let mut client = ServerReflectionClient::new(server.channel().call(&test::call()));
    let mut answers = client.server_reflection_info(Request::new(questions)).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    server.drain();
    let last = tokio::time::timeout(GENEROUS, answers.message()).await.unwrap();
    assert_eq!(last.unwrap(), None);
    server.stop().await;
}

#[tokio::test]
async fn descriptors_that_are_none_are_refused_in_words() {
    let imports = descriptors(&["google/protobuf/timestamp.proto"]);
    // Something else, nothing, a file without a name, and a file without what it imports.
    for (bytes, word) in [
        (b"not descriptors".to_vec(), "no FileDescriptorSet"),
        (Vec::new(), "empty"),
        (vec![0x0a, 0x00], "missing name"),
        (imports, "`test/v1/greeter.proto` without `google/protobuf/timestamp.proto`"),
    ] {
        let encoded: &'static [u8] = bytes.leak();
        let service = test::service("test", []).grpc(GreeterServer).descriptors(encoded);
        let error = service.serve(Router::new()).await.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
