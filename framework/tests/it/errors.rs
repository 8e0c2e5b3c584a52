//! Every error is a problem, says which field, and names the trace.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::StatusCode;
use samspill::extract::{Form, Json, Path, Query};
use samspill::{Problem, test};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{parts, say};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    to: String,
    grams: u32,
}

fn router() -> Router {
    Router::new()
        .route("/v2/quotes", post(async |Json(ask): Json<Ask>| Json(ask)))
        .route("/v1/quote", get(async |Query(ask): Query<Ask>| Json(ask)))
        .route("/v1/form", post(async |Form(ask): Form<Ask>| Json(ask)))
        .route("/v1/parcels/{number}", get(async |Path(number): Path<u32>| number.to_string()))
        .route("/small", post(async |Json(ask): Json<Ask>| Json(ask)).layer(DefaultBodyLimit::max(16)))
        .route("/bare", get(async || StatusCode::CONFLICT))
        .route("/own", get(async || (StatusCode::NOT_FOUND, "our own words")))
        .route("/internal", get(async || Problem::internal(&std::io::Error::other("secret"))))
        .route("/panic", get(panics))
}

async fn panics() -> StatusCode {
    panic!("on purpose")
}

/// The status and body of the answer to a request. `head` is the request line and perhaps more lines.
async fn ask(head: &str, body: &str) -> (u16, String, Value) {
    let server = test::Server::start(test::service("test", []), router()).await;
    let length = body.len();
    let request = format!(
        "{head}\r\nhost: test\r\ntraceparent: {TRACEPARENT}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let answer = say(server.address(), request.as_bytes()).await;
    let (head, body) = parts(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default().to_owned();
    server.stop().await;
    (status, kind, serde_json::from_str(body).unwrap_or_default())
}

async fn check_problem(head: &str, body: &str, status: u16, errors: Value) -> Value {
    let (found, kind, problem) = ask(head, body).await;
    assert_eq!((found, kind.as_str()), (status, "application/problem+json"), "{head}: {problem}");
    assert_eq!((&problem["status"], &problem["trace_id"]), (&json!(status), &json!(TRACE_ID)), "{problem}");
    assert_eq!(problem["errors"], errors, "{problem}");
    assert_ne!(problem["title"], json!(""));
    problem
}

const JSON: &str = "POST /v2/quotes HTTP/1.1\r\ncontent-type: application/json";

#[tokio::test]
async fn json_that_does_not_fit_names_the_field() {
    let field = |field, detail| json!([{ "field": field, "detail": detail }]);
    let wrong_type = field("grams", "must be a whole number from 0 to 4294967295");
    for wrong in [r#""heavy""#, "-1", "1.5", "4294967296", "[]"] {
        let body = format!(r#"{{"to":"SE","grams":{wrong}}}"#);
        check_problem(JSON, &body, 422, wrong_type.clone()).await;
    }
    check_problem(JSON, r#"{"to":5,"grams":1}"#, 422, field("to", "must be a string")).await;
    check_problem(JSON, "5", 422, field(".", "must be an object")).await;
    check_problem(JSON, r#"{"to":"SE"}"#, 422, field("grams", "is missing")).await;
    check_problem(JSON, r#"{"to":"SE","grams":1,"kg":1}"#, 422, field("kg", "is not known")).await;
}

#[tokio::test]
async fn what_is_not_json_says_where_it_breaks() {
    let problem = check_problem(
        JSON,
        r#"{"to":"SE","grams":}"#,
        400,
        json!([{ "field": "grams", "detail": "the JSON breaks here" }]),
    )
    .await;
    assert_eq!(problem["detail"], "expected value at line 1 column 20");
    check_problem(JSON, r#"{"to":"SE","grams":1} {"#, 400, Value::Null).await;
    // Where no field has begun, or its name breaks, there is none to name.
    for broken in ["{", "{to: 5}", r#"{"to":"SE" "grams":1}"#, r#"{"to":"SE","#, r#"{"to":"SE","gra"#, "nonsense"] {
        let problem = check_problem(JSON, broken, 400, Value::Null).await;
        assert!(problem["detail"].as_str().unwrap().contains(" at line 1 column "), "{broken}: {problem}");
    }
    check_problem(JSON, "", 400, Value::Null).await;
}

#[tokio::test]
async fn another_content_type_is_refused() {
    check_problem("POST /v2/quotes HTTP/1.1", r#"{"to":"SE","grams":1}"#, 415, Value::Null).await;
    check_problem("POST /v2/quotes HTTP/1.1\r\ncontent-type: text/plain", "", 415, Value::Null).await;
    check_problem("POST /v1/form HTTP/1.1\r\ncontent-type: application/json", "{}", 415, Value::Null).await;
    let (status, ..) =
        ask("POST /v2/quotes HTTP/1.1\r\ncontent-type: Application/JSON; charset=utf-8", r#"{"to":"SE","grams":1}"#)
            .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn queries_paths_and_forms_name_the_parameter() {
    let field = |field, detail| json!([{ "field": field, "detail": detail }]);
    let digit = "must be a whole number";
    check_problem("GET /v1/quote?to=SE&grams=x HTTP/1.1", "", 400, field("grams", digit)).await;
    check_problem("GET /v1/quote?to=SE HTTP/1.1", "", 400, field("grams", "is missing")).await;
    let problem = check_problem("GET /v1/parcels/first HTTP/1.1", "", 400, Value::Null).await;
    assert_eq!(problem["detail"], "`first` is not a whole number from 0 to 4294967295");
    let form = "POST /v1/form HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
    check_problem(form, "to=SE&grams=x", 422, field("grams", digit)).await;
    assert_eq!(ask(form, "to=SE&grams=1").await.2, json!({ "to": "SE", "grams": 1 }));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    check_problem("GET /nowhere HTTP/1.1", "", 404, Value::Null).await;
    check_problem("DELETE /v2/quotes HTTP/1.1", "", 405, Value::Null).await;
    check_problem("GET /bare HTTP/1.1", "", 409, Value::Null).await;
    // What a handler says itself is left alone.
    assert_eq!(ask("GET /own HTTP/1.1", "").await.1, "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let json = "content-type: application/json";
    let grams = r#"{"to":"SE","grams":1}"#;
    check_problem(&format!("POST /small HTTP/1.1\r\n{json}"), grams, 413, Value::Null).await;
    let giant = format!(r#"{{"to":"{}","grams":1}}"#, "x".repeat(2 * 1024 * 1024));
    check_problem(&format!("POST /v2/quotes HTTP/1.1\r\n{json}"), &giant, 413, Value::Null).await;
    let large = format!(r#"{{"to":"{}","grams":1}}"#, "x".repeat(2 * 1024 * 1024 - 100));
    assert_eq!(ask(&format!("POST /v2/quotes HTTP/1.1\r\n{json}"), &large).await.0, 200);
}

#[tokio::test]
async fn a_panic_and_an_internal_error_tell_the_caller_nothing() {
    for path in ["/panic", "/internal"] {
        let problem = check_problem(&format!("GET {path} HTTP/1.1"), "", 500, Value::Null).await;
        assert_eq!(problem, json!({ "title": "Internal Server Error", "status": 500, "trace_id": TRACE_ID }));
    }
}

#[tokio::test]
async fn what_is_not_well_formed_http_never_reaches_a_handler() {
    let server = test::Server::start(test::service("test", []), router()).await;
    let smuggled =
        "POST /v2/quotes HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for (request, status) in [
        ("GET /own HTTP/1.1\r\n\r\n", "400"),
        ("GET /own HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET /own HTTP/1.1\nhost: a\n\n", "400"),
        ("GET /own HTTP/3.7\r\nhost: a\r\n\r\n", "505"),
        (smuggled, "400"),
    ] {
        let answer = say(server.address(), request.as_bytes()).await;
        let (head, body) = parts(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {head}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["status"].to_string(), status);
    }
    server.stop().await;
}
