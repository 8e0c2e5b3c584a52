//! The public API of parcel-tracking, request by request.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::store::NewParcel;

/// A store on the database of a folder, with one parcel, `p-1`.
async fn store(folder: &TempDir) -> Store {
    let store = Store::open(&format!("sqlite://{}/tracking.db", folder.path().display())).await.unwrap();
    let parcel = NewParcel { id: "p-1".to_owned(), from: "NO".to_owned(), to: "SE".to_owned(), grams: 2500 };
    store.create(&parcel).await.unwrap();
    store
}

async fn ask(app: &Router, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn append(app: &Router, kind: &str, place: &str) -> (StatusCode, Value) {
    ask(app, Method::POST, "/v1/parcels/p-1/events", &json!({"type": kind, "place": place})).await
}

async fn parcel(app: &Router) -> Value {
    ask(app, Method::GET, "/v1/parcels/p-1", &Value::Null).await.1
}

#[tokio::test]
async fn both_replicas_tell_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (router(store(&folder).await).into_router(), router(store(&folder).await).into_router());
    let registered = parcel(&other).await;
    assert_eq!(
        registered,
        json!({"id": "p-1", "from": "NO", "to": "SE", "grams": 2500, "status": "registered", "events": []})
    );
    let (status, first) = append(&one, "picked-up", "Oslo").await;
    assert_eq!((status, &first["sequence"], &first["type"]), (StatusCode::CREATED, &json!(1), &json!("picked-up")));
    let (_, second) = append(&other, "in-transit", "Svinesund").await;
    assert_eq!(second["sequence"], 2);
    let told = parcel(&one).await;
    assert_eq!((&told["status"], &told["events"]), (&json!("in-transit"), &json!([first, second])));
    assert_eq!(parcel(&other).await, told);
}

#[tokio::test]
async fn nothing_follows_the_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let app = router(store(&folder).await).into_router();
    assert_eq!(append(&app, "delivered", "Göteborg").await.0, StatusCode::CREATED);
    assert_eq!(append(&app, "in-transit", "Göteborg").await.0, StatusCode::CONFLICT);
    let told = parcel(&app).await;
    assert_eq!((&told["status"], told["events"].as_array().unwrap().len()), (&json!("delivered"), 1));
}

#[tokio::test]
async fn bad_input_names_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let app = router(store(&folder).await).into_router();
    for (kind, place, field) in [("lost", "Oslo", "type"), ("picked-up", " ", "place")] {
        let (status, problem) = append(&app, kind, place).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }
    assert_eq!(parcel(&app).await["events"], json!([]));
}

#[tokio::test]
async fn an_unknown_parcel_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let app = router(store(&folder).await).into_router();
    assert_eq!(ask(&app, Method::GET, "/v1/parcels/p-2", &Value::Null).await.0, StatusCode::NOT_FOUND);
    let event = json!({"type": "delivered", "place": "Oslo"});
    assert_eq!(ask(&app, Method::POST, "/v1/parcels/p-2/events", &event).await.0, StatusCode::NOT_FOUND);
}
