//! The API of statistics, request by request.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;

/// One replica on the database of a folder.
async fn replica(folder: &TempDir) -> Router {
    router(Store::open(&format!("sqlite://{}/statistics.db", folder.path().display())).await.unwrap()).into_router()
}

async fn ask(app: &Router, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn both_replicas_count_together() {
    let folder = tempfile::tempdir().unwrap();
    let replicas = [replica(&folder).await, replica(&folder).await];
    assert_eq!(ask(&replicas[0], Method::GET, "/v1/counts", "").await, (StatusCode::OK, json!({"order-attempt": 0})));
    for app in replicas.iter().cycle().take(5) {
        let (status, _) = ask(app, Method::POST, "/v1/events", r#"{"type":"order-attempt"}"#).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    for app in &replicas {
        assert_eq!(ask(app, Method::GET, "/v1/counts", "").await.1, json!({"order-attempt": 5}));
    }
}

#[tokio::test]
async fn an_unknown_type_is_refused_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    for body in [r#"{"type":"page-view"}"#, r#"{"type":7}"#, "{}", r#"{"type":"order-attempt","by":"me"}"#, "", "["] {
        let (status, problem) = ask(&app, Method::POST, "/v1/events", body).await;
        assert!(status.is_client_error() && problem["title"].is_string(), "{body}: {status} {problem}");
    }
    let (_, problem) = ask(&app, Method::POST, "/v1/events", r#"{"type":"page-view"}"#).await;
    assert_eq!(problem["errors"][0]["field"], "type");
    assert_eq!(ask(&app, Method::GET, "/v1/counts", "").await.1, json!({"order-attempt": 0}));
}

#[tokio::test]
async fn the_contract_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/statistics.db", folder.path().display())).await.unwrap();
    let server = samspill::test::Server::start(samspill::test::service("statistics", []), router(store)).await;
    statistics_api::conformance(&server.url("")).await.assert_kept();
    server.stop().await;
}
