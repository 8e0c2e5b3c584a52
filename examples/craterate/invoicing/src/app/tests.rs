//! The API of invoicing, request by request, over a database of its own.

use axum::Router;
use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;

/// One replica on the database of a folder.
async fn replica(folder: &TempDir) -> Router {
    router(Store::open(&format!("sqlite://{}/invoicing.db", folder.path().display())).await.unwrap()).into_router()
}

async fn ask(app: &Router, method: Method, path: &str, key: Option<&str>, body: &Value) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status();
    let location = answer.headers().get(LOCATION).cloned();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    if let Some(location) = location {
        let id = body["id"].as_str().unwrap();
        assert!(location == format!("invoices/{id}") || location == format!("payments/{id}"));
    }
    (status, body)
}

async fn get(app: &Router, path: &str) -> (StatusCode, Value) {
    ask(app, Method::GET, path, None, &Value::Null).await
}

async fn make(app: &Router, body: &Value) -> (StatusCode, Value) {
    ask(app, Method::POST, "/v1/invoices", None, body).await
}

async fn pay(app: &Router, key: Option<&str>, cents: u64) -> (StatusCode, Value) {
    ask(app, Method::POST, "/v1/invoices/i-1/payments", key, &json!({"cents": cents})).await
}

fn invoice() -> Value {
    json!({"id": "i-1", "booking_id": "b-1", "cents": 14_400, "currency": "NOK"})
}

#[tokio::test]
async fn a_repeated_invoice_is_one_invoice() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (replica(&folder).await, replica(&folder).await);
    let (status, first) = make(&one, &invoice()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(make(&other, &invoice()).await, (StatusCode::CREATED, first.clone()));
    assert_eq!(get(&other, "/v1/invoices/i-1").await, (StatusCode::OK, first.clone()));
    assert_eq!((&first["paid_cents"], &first["status"]), (&json!(0), &json!("open")));
}

#[tokio::test]
async fn an_id_is_not_given_to_another_invoice() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    make(&app, &invoice()).await;
    for (field, value) in [("cents", json!(1)), ("booking_id", json!("b-2"))] {
        let mut other = invoice();
        other[field] = value;
        let (status, problem) = make(&app, &other).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::CONFLICT, &json!("id")));
    }
    assert_eq!(get(&app, "/v1/invoices/i-1").await.1["cents"], 14_400);
}

#[tokio::test]
async fn an_invoice_without_an_id_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    let body = json!({"booking_id": "b-1", "cents": 1, "currency": "NOK"});
    let (first, second) = (make(&app, &body).await.1, make(&app, &body).await.1);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(get(&app, &format!("/v1/invoices/{}", first["id"].as_str().unwrap())).await, (StatusCode::OK, first));
}

#[tokio::test]
async fn payments_add_up_to_the_invoice_and_not_beyond() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    make(&app, &invoice()).await;
    let (status, payment) = pay(&app, None, 4_400).await;
    assert_eq!((status, &payment["outstanding_cents"]), (StatusCode::CREATED, &json!(10_000)));
    let (status, problem) = pay(&app, None, 10_001).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("cents")));
    assert_eq!(get(&app, "/v1/invoices/i-1").await.1["status"], "open");
    assert_eq!(pay(&app, None, 10_000).await.0, StatusCode::CREATED);
    let (_, paid) = get(&app, "/v1/invoices/i-1").await;
    assert_eq!((&paid["paid_cents"], &paid["status"]), (&json!(14_400), &json!("paid")));
    assert_eq!(pay(&app, None, 1).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_repeated_payment_pays_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (replica(&folder).await, replica(&folder).await);
    make(&one, &invoice()).await;
    let first = pay(&one, Some("k"), 14_400).await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(pay(&other, Some("k"), 14_400).await, first);
    assert_eq!(get(&one, "/v1/invoices/i-1").await.1["paid_cents"], 14_400);
    let (status, problem) = pay(&one, Some("k"), 1).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Idempotency-Key")));
}

#[tokio::test]
async fn bad_input_names_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    let body = json!({"id": "a/b", "booking_id": "", "cents": 0, "currency": "EUR"});
    let (status, problem) = make(&app, &body).await;
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fields, ["booking_id", "cents", "currency", "id"]);
    make(&app, &invoice()).await;
    for cents in [json!(0), json!(-1), json!(1.5), json!("1")] {
        let (status, problem) =
            ask(&app, Method::POST, "/v1/invoices/i-1/payments", None, &json!({"cents": cents})).await;
        assert!(status.is_client_error(), "{cents}: {status}");
        assert_eq!(problem["errors"][0]["field"], "cents", "{problem}");
    }
}

#[tokio::test]
async fn an_unknown_invoice_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let app = replica(&folder).await;
    assert_eq!(get(&app, "/v1/invoices/i-1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(pay(&app, None, 1).await.0, StatusCode::NOT_FOUND);
}
