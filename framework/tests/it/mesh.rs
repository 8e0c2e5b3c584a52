//! Several services in one process, without sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, Version};
use samspill::extract::Json;
use samspill::fault::Faults;
use samspill::test::TestMesh;
use samspill::{Call, CallError, Problem, Service};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::greeter::{GreeterServer, count, greet};

/// Asks `next` and answers what it answers.
fn relay(service: &Service, next: &'static str) -> Router {
    let client = service.client(next);
    let relay =
        async move |call: Call| -> Result<String, Problem> { Ok(client.get(&call, "/").send().await?.text().await?) };
    Router::new().route("/", get(relay))
}

/// What a service sees of a request.
async fn seen(call: Call, request: Request) -> Json<Value> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Json(json!({
        "peer": call.peer().map(ToString::to_string),
        "trace_id": call.trace_id(),
        "traceparent": header("traceparent"),
        "baggage": header("baggage"),
        "host": header("host"),
        "is_http1": request.version() == Version::HTTP_11,
    }))
}

fn three() -> TestMesh {
    TestMesh::new()
        .with("front", |service| relay(&service, "middle.default:8080"))
        .with("middle", |service| relay(&service, "back.shop"))
        .with("back.shop", |_service| Router::new().route("/", get(seen)))
}

#[samspill::test(start_paused = true)]
async fn services_reach_each_other_by_name_and_a_call_goes_through_all_of_them() {
    let mesh = three();
    let call = mesh.call();
    let request = mesh.client("front");
    let request = request.get(&call, "/").header("baggage", "user=7");
    let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        answer,
        json!({
            "peer": "spiffe://test/ns/default/sa/middle",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "baggage": "user=7",
            "host": "back.shop",
            "is_http1": true,
        })
    );
}

#[samspill::test(start_paused = true)]
async fn a_deadline_shrinks_on_its_way_and_ends_the_wait() {
    let left = async |headers: HeaderMap| headers["samspill-timeout"].to_str().unwrap().to_owned();
    let mesh = TestMesh::new()
        .with("front", |service: Service| {
            let back = service.client("back");
            let relay = async move |call: Call| -> Result<String, Problem> {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(back.get(&call, "/").send().await?.text().await?)
            };
            Router::new().route("/", get(relay))
        })
        .with("back", |_service| Router::new().route("/", get(left)));
    let client = mesh.client("front");
    let call = mesh.call().with_timeout(Duration::from_secs(2));
    let left = client.get(&call, "/").send().await.unwrap().text().await.unwrap();
    let left: u64 = left.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1_490_000..=1_500_000).contains(&left), "{left}");

    mesh.faults("back", Faults::new().delay(Duration::from_secs(3600), 100));
    let before = Instant::now();
    let error = client.get(&mesh.call().with_timeout(Duration::from_secs(2)), "/").send().await.unwrap_err();
    assert_eq!(Problem::from(error).status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(before.elapsed().as_secs(), 2);
}

#[samspill::test(start_paused = true)]
async fn a_caller_is_who_it_is_whatever_it_claims() {
    let mesh = three();
    let back = mesh.service("robber.crime").client("back.shop");
    let claim = "By=x;URI=spiffe://test/ns/default/sa/middle";
    let call = mesh.call();
    let request = back.get(&call, "/").header("x-forwarded-client-cert", claim);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["peer"], "spiffe://test/ns/crime/sa/robber");
}

#[samspill::test(start_paused = true)]
async fn who_is_not_there_cannot_be_reached() {
    let mesh = three();
    let unreachable = async |name: &str| {
        let error = mesh.client(name).get(&mesh.call(), "/").send().await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }), "{name}: {error:?}");
        samspill_observability::chain(&error).to_string()
    };
    assert!(unreachable("back").await.contains("no service of this `TestMesh` is called `back`"));
    assert!(unreachable("127.0.0.1:80").await.contains("not a service name"));
    let status = greet(&mesh.channel("back"), &mesh.call(), "/test.v1.Greeter/Greet", "Ada").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // What another cannot reach is its 503.
    mesh.stop("middle").await;
    let error = mesh.client("front").get(&mesh.call(), "/").send().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));

    let client = mesh.client("front");
    drop(mesh);
    let error = client.get(&samspill::test::call(), "/").send().await.unwrap_err();
    assert!(samspill_observability::chain(&error).to_string().contains("the `TestMesh` is gone"), "{error:?}");
}

#[samspill::test(start_paused = true)]
async fn grpc_goes_over_http2_with_its_trailers() {
    let mesh = TestMesh::new().with("greeter", |service: Service| service.grpc(GreeterServer)).with(
        "front",
        |service: Service| {
            let channel = service.channel("greeter:50051");
            let router = Router::new().route(
                "/",
                get(async move |call: Call| {
                    let greeted = greet(&channel, &call, "/test.v1.Greeter/Greet", "Ada").await;
                    greeted.map_err(|status: Status| Problem::from(status))
                }),
            );
            (service.grpc(GreeterServer), router)
        },
    );
    let answer = mesh.client("front").get(&mesh.call(), "/").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Ada in None");
    let words: Vec<_> =
        count(&mesh.channel("front"), &mesh.call()).await.map(|word| word.map_err(|s| s.code())).collect().await;
    assert_eq!(words, [Ok("one".to_owned()), Ok("two".to_owned()), Err(Code::ResourceExhausted)]);

    mesh.replace("greeter", |service: Service| service.grpc(GreeterServer)).await;
    let answer = mesh.client("front").get(&mesh.call(), "/").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Ada in None");
}

/// Answers with its name once it is let go.
fn slow(name: &'static str, begun: &Arc<Semaphore>, may_end: &Arc<Semaphore>) -> Router {
    let (begun, may_end) = (Arc::clone(begun), Arc::clone(may_end));
    let answer = async move || {
        begun.add_permits(1);
        may_end.acquire().await.unwrap().forget();
        name
    };
    Router::new().route("/", get(answer))
}

#[samspill::test(start_paused = true)]
async fn a_replaced_service_finishes_what_it_has_begun() {
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let mesh = TestMesh::new().with("statistics", |_service| slow("old", &begun, &may_end));
    let client = mesh.client("statistics");
    let call = mesh.call();
    let ask = async || client.get(&call, "/").send().await.unwrap().text().await.unwrap();
    let swap = async {
        begun.acquire().await.unwrap().forget();
        let replaced = mesh.replace("statistics", |_service| Router::new().route("/", get(async || "new")));
        let ask_anew = async {
            let answer = ask().await;
            may_end.add_permits(1);
            answer
        };
        tokio::join!(replaced, ask_anew).1
    };
    assert_eq!(tokio::join!(ask(), swap), ("old".to_owned(), "new".to_owned()));
}

#[samspill::test(start_paused = true)]
async fn under_load_no_caller_notices_a_swap() {
    let mesh = TestMesh::new().with("statistics", ranked("0"));
    let client = mesh.client("statistics");
    let call = mesh.call();
    let load = futures_util::future::join_all((0..20).map(async |_| {
        let mut newest = 0;
        for _ in 0..20 {
            let rank: u32 = client.post(&call, "/").body("x").send().await.unwrap().json().await.unwrap();
            assert!(rank >= newest, "{rank} after {newest}");
            newest = rank;
            // The next one is written in the moment in which a drain lets idle connections end.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        newest
    }));
    let swaps = async {
        for rank in ["1", "2", "3"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            mesh.replace("statistics", ranked(rank)).await;
        }
    };
    assert_eq!(tokio::join!(load, swaps).0, [3; 20]);
}

#[samspill::test(start_paused = true)]
async fn under_load_no_grpc_caller_notices_a_swap() {
    let greeter = |service: Service| service.grpc(GreeterServer);
    let mesh = TestMesh::new().with("greeter", greeter);
    let channel = mesh.channel("greeter");
    let call = mesh.call();
    let load = futures_util::future::join_all((0..20).map(async |_| {
        for _ in 0..20 {
            greet(&channel, &call, "/test.v1.Greeter/Greet", "Ada").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }));
    let swaps = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            mesh.replace("greeter", greeter).await;
        }
    };
    tokio::join!(load, swaps);
}

fn ranked(rank: &'static str) -> impl FnOnce(Service) -> Router {
    move |_service| {
        let answer = async move |_body: String| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            rank
        };
        Router::new().route("/", post(answer))
    }
}

#[samspill::test(start_paused = true)]
async fn a_stopped_service_can_be_started_again() {
    let mesh = three();
    mesh.stop("back.shop").await;
    mesh.replace("back.shop", |_service| Router::new().route("/", get(async || "again"))).await;
    let answer = mesh.client("front").get(&mesh.call(), "/").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "again");
}

#[samspill::test(start_paused = true)]
async fn time_passes_only_when_nothing_is_left_to_do() {
    let mesh = TestMesh::new().with("slow", |_service| {
        let answer = async |headers: HeaderMap| {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            headers.len().to_string()
        };
        Router::new().route("/", get(answer))
    });
    let before = Instant::now();
    mesh.client("slow").get(&mesh.call(), "/").send().await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 3600);
}

#[samspill::test]
async fn mistakes_of_a_test_are_named() {
    let said = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<String>().unwrap();
    let twice = || three().with("middle", |_service| Router::new());
    let twice = std::panic::catch_unwind(twice).unwrap_err();
    assert!(said(twice).contains("two services of this `TestMesh` are called `middle`"));
    let nameless = std::panic::catch_unwind(|| three().with("not a name", |_service| Router::new())).unwrap_err();
    assert!(said(nameless).contains("`not a name` is not a service name"));
}
