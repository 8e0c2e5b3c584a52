//! Faults on purpose, in a service's router and between services.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use samspill::fault::{self, Faults};
use samspill::test::TestMesh;
use samspill::{CallError, Problem, Service};
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt;
use tower::Layer;

use crate::greeter::{GreeterServer, greet};

const SOON: Duration = Duration::from_millis(200);

fn hello(_service: Service) -> Router {
    Router::new().route("/", get(async || "Hello"))
}

async fn problem(mesh: &TestMesh, header: &str) -> Problem {
    let call = mesh.call();
    let client = mesh.client("hello");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let asked = client.get(&call, "/").header(fault::HEADER, header).header("traceparent", trace).send().await;
    let Err(CallError::Problem(problem)) = asked else { panic!("{asked:?}") };
    assert_eq!(problem.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
    problem
}

#[samspill::test(start_paused = true)]
async fn a_request_asks_for_its_fault_in_a_router_as_between_services() {
    let router = |service| hello(service).layer(Faults::new().by_header());
    let mesh = TestMesh::new().with("hello", router);
    let between = TestMesh::new().with("hello", hello);
    between.faults("hello", Faults::new().by_header());
    for mesh in [mesh, between] {
        let before = Instant::now();
        let aborted = problem(&mesh, "delay=200ms, abort=504").await;
        assert_eq!((aborted.status(), aborted.kind_uri()), (StatusCode::GATEWAY_TIMEOUT, fault::KIND));
        assert_eq!(before.elapsed().as_millis(), SOON.as_millis());
        let wrong = problem(&mesh, "delay=soon").await;
        assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
        assert!(wrong.to_string().contains("`delay=soon`"), "{wrong}");
        assert_eq!(mesh.client("hello").get(&mesh.call(), "/").send().await.unwrap().text().await.unwrap(), "Hello");
    }
}

#[samspill::test(start_paused = true)]
async fn without_the_layer_nobody_can_ask() {
    let mesh = TestMesh::new().with("hello", hello);
    let call = mesh.call();
    let asked = mesh.client("hello").get(&call, "/").header(fault::HEADER, "abort=503").send().await;
    assert_eq!(asked.unwrap().status(), StatusCode::OK);
}

#[samspill::test(start_paused = true)]
async fn faults_between_services_come_and_go_and_outlive_a_swap() {
    let mesh = TestMesh::new().with("hello", hello);
    let status = async || match mesh.client("hello").get(&mesh.call(), "/").send().await {
        Ok(answer) => answer.status(),
        Err(error) => error.status().unwrap(),
    };
    mesh.faults("hello", Faults::new().delay(SOON, 100).abort(StatusCode::SERVICE_UNAVAILABLE, 100));
    let before = Instant::now();
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(before.elapsed().as_millis(), SOON.as_millis());
    mesh.replace("hello", hello).await;
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    mesh.faults("hello", Faults::new());
    assert_eq!(status().await, StatusCode::OK);

    // Some of the requests, and the same ones with the same seed.
    let mut runs = Vec::new();
    for _ in 0..2 {
        mesh.faults("hello", Faults::new().abort(StatusCode::SERVICE_UNAVAILABLE, 50).seed(7));
        let mut run = Vec::new();
        for _ in 0..20 {
            run.push(status().await.as_u16());
        }
        runs.push(run);
    }
    assert!(runs[0].contains(&200) && runs[0].contains(&503), "{runs:?}");
    assert_eq!(runs[0], runs[1]);
}

#[samspill::test(start_paused = true)]
async fn a_grpc_caller_gets_a_status() {
    let faults = Faults::new().abort(StatusCode::SERVICE_UNAVAILABLE, 100);
    let layered = faults.clone();
    let mesh = TestMesh::new()
        .with("layered", move |service: Service| service.grpc(layered.layer(GreeterServer)))
        .with("between", |service: Service| service.grpc(GreeterServer));
    mesh.faults("between", faults);
    for name in ["layered", "between"] {
        let status = greet(&mesh.channel(name), &mesh.call(), "/test.v1.Greeter/Greet", "Ada").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["type"], fault::KIND);
    }
}
