//! `Idempotency-Key`, as callers see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use samspill::extract::Json;
use samspill::idempotency::{Idempotency, MemoryStore};
use samspill::{Answer, CallError, Problem, test};
use serde_json::{Value, json};

async fn book(runs: Arc<AtomicU32>, Json(ask): Json<Value>) -> Result<(StatusCode, Json<Value>), Problem> {
    let run = runs.fetch_add(1, Ordering::Relaxed);
    match ask["grams"].as_u64() {
        Some(grams) if grams < 1000 => Ok((StatusCode::CREATED, Json(json!({ "run": run })))),
        _ => Err(Problem::new(StatusCode::CONFLICT, "Too heavy").member("run", run)),
    }
}

fn router() -> Router {
    let runs = Arc::new(AtomicU32::new(0));
    let layer = Idempotency::new(Arc::new(MemoryStore::new()));
    let handler = move |ask: Json<Value>| book(Arc::clone(&runs), ask);
    Router::new()
        .route("/v1/bookings", post(handler.clone()).get(async || "all").layer(layer.clone()))
        .route("/v1/payments", post(handler).layer(layer.required()))
}

async fn send(server: &test::Server, path: &str, key: &str, body: &Value) -> Result<Answer, CallError> {
    server.client().post(&test::call(), path).header("idempotency-key", key).json(body).send().await
}

fn problem(answer: Result<Answer, CallError>) -> Problem {
    match answer {
        Err(CallError::Problem(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer() {
    let server = test::Server::start(test::service("test", []), router()).await;
    let body = json!({ "grams": 1 });
    let first = send(&server, "/v1/bookings", "k", &body).await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let repeat = send(&server, "/v1/bookings", "k", &body).await.unwrap();
    assert_eq!(repeat.headers()["idempotency-replayed"], "true");
    assert_eq!(repeat.headers()["content-type"], "application/json");
    assert_eq!((first.status(), repeat.status()), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.json::<Value>().await.unwrap(), json!({ "run": 0 }));
    assert_eq!(repeat.json::<Value>().await.unwrap(), json!({ "run": 0 }));

    let other = send(&server, "/v1/bookings", "k", &json!({ "grams": 2 })).await;
    let other = problem(other);
    assert_eq!(
        (other.status(), other.errors()[0].field.as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "Idempotency-Key")
    );
    // Another key is another request, and no key is none.
    let answer = send(&server, "/v1/bookings", "other", &body).await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "run": 1 }));
    for run in [2, 3] {
        let answer = server.client().post(&test::call(), "/v1/bookings").json(&body).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "run": run }));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_kept_problem_names_the_trace_of_the_repeat() {
    let server = test::Server::start(test::service("test", []), router()).await;
    for trace_id in ["0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"] {
        let traceparent = format!("00-{trace_id}-b7ad6b7169203331-00");
        let client = server.client();
        let request = client.post(&test::call(), "/v1/bookings").header("traceparent", traceparent);
        let answer = request.header("idempotency-key", "k").json(&json!({ "grams": 1000 })).send().await;
        let problem = problem(answer);
        assert_eq!((problem.title(), problem.trace_id()), ("Too heavy", Some(trace_id)));
        assert_eq!(problem.members()["run"], 0);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_checked_and_may_be_required() {
    let server = test::Server::start(test::service("test", []), router()).await;
    let body = json!({ "grams": 1 });
    for malformed in ["", "two words", "x".repeat(201).as_str()] {
        let problem = problem(send(&server, "/v1/bookings", malformed, &body).await);
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{malformed}");
        assert_eq!(problem.errors()[0].field, "Idempotency-Key");
    }
    let answer = server.client().post(&test::call(), "/v1/payments").json(&body).send().await;
    let missing = problem(answer);
    assert_eq!((missing.status(), missing.errors()[0].detail.as_str()), (StatusCode::BAD_REQUEST, "is missing"));
    assert!(send(&server, "/v1/payments", "k", &body).await.is_ok());
    // A GET needs none.
    assert!(server.client().get(&test::call(), "/v1/bookings").send().await.is_ok());
    server.stop().await;
}
