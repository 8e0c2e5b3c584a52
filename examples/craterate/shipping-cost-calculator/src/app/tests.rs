//! Both versions of the API, and that they have one price.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

async fn ask(method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = router().into_router().oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// The fields that a problem names, in order.
fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn both_versions_name_the_same_price() {
    let (status, v1) = ask(Method::GET, "/v1/quote?to=SE&weight_kg=2.5", "").await;
    assert_eq!((status, v1), (StatusCode::OK, json!({"price": "144.00", "currency": "NOK"})));
    let (status, v2) = ask(Method::POST, "/v2/quotes", r#"{"from":"NO","to":"SE","grams":2500}"#).await;
    assert_eq!((status, v2), (StatusCode::OK, json!({"cents": 14400, "currency": "NOK", "valid_seconds": 900})));
}

#[tokio::test]
async fn bad_input_names_every_field() {
    let (status, problem) = ask(Method::GET, "/v1/quote?to=Sweden&weight_kg=heavy", "").await;
    assert_eq!((status, fields(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec!["to", "weight_kg"]));
    let (status, problem) = ask(Method::POST, "/v2/quotes", r#"{"from":"XX","to":"se","grams":31501}"#).await;
    assert_eq!((status, fields(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec!["from", "grams", "to"]));
}

#[tokio::test]
async fn input_of_another_shape_is_refused_and_named() {
    for body in [r#"{"from":"NO","to":"SE","grams":-1}"#, r#"{"from":"NO","to":"SE","grams":"2500"}"#] {
        let (status, problem) = ask(Method::POST, "/v2/quotes", body).await;
        assert!(status.is_client_error(), "{status}");
        assert_eq!(fields(&problem), ["grams"], "{problem}");
    }
    let (status, problem) = ask(Method::GET, "/v1/quote?to=SE", "").await;
    assert!(status.is_client_error() && problem.to_string().contains("weight_kg"), "{problem}");
}
