//! Calls to others: what is sent, and what a failure becomes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use samspill::extract::Json;
use samspill::{Call, CallError, Problem, test};
use samspill_net::Listener;
use serde_json::{Value, json};

async fn echo(call: Call, request: Request) -> Json<Value> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
    let headers: BTreeMap<_, _> = request.headers().iter().map(header).collect();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let body = axum::body::to_bytes(request.into_body(), 1024).await.unwrap();
    Json(json!({
        "method": method,
        "uri": uri,
        "headers": headers,
        "body": String::from_utf8(body.to_vec()).unwrap(),
        "trace_id": call.trace_id(),
    }))
}

/// A port on which nobody listens.
async fn closed_port() -> SocketAddr {
    Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap().local_addr()
}

#[tokio::test]
async fn a_request_carries_what_it_was_given() {
    let server = test::Server::start(test::service("test", []), Router::new().fallback(echo)).await;
    let client = server.client();
    let call = test::call();
    let request = client.post(&call, "/v2/quotes?a=1").query(&[("to", "SE & NO")]).json(&json!({ "grams": 1 }));
    let answer = request.header("idempotency-key", &"key-1".to_owned()).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let sent: Value = answer.json().await.unwrap();
    assert_eq!(sent["method"], "POST");
    assert_eq!(sent["uri"], "/v2/quotes?a=1&to=SE+%26+NO");
    assert_eq!(sent["headers"]["host"], server.address().to_string());
    assert_eq!(sent["headers"]["content-type"], "application/json");
    assert_eq!(sent["headers"]["idempotency-key"], "key-1");
    assert_eq!(sent["body"], r#"{"grams":1}"#);

    let answer = client.request(&call, Method::PATCH, "/").body("text").send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["body"], "text");
    server.stop().await;
}

#[tokio::test]
async fn in_a_mesh_the_sidecar_is_called_and_host_names_the_service() {
    let sidecar = test::Server::start(test::service("sidecar", []), Router::new().fallback(echo)).await;
    let outbound = sidecar.url("");
    let service = test::service("booking", [("SAMSPILL_OUTBOUND", outbound.as_str())]);
    for name in ["shipping-cost-calculator", "invoicing.shop:8080"] {
        let answer = service.client(name).get(&test::call(), "/v1/x").send().await.unwrap();
        let sent: Value = answer.json().await.unwrap();
        assert_eq!((&sent["headers"]["host"], &sent["uri"]), (&json!(name), &json!("/v1/x")));
    }
    sidecar.stop().await;
}

#[tokio::test]
async fn the_trace_goes_on_from_the_inbound_call() {
    let far = test::Server::start(test::service("far", []), Router::new().fallback(echo)).await;
    let client = far.client();
    let relay = async move |call: Call| -> Result<Json<Value>, Problem> {
        Ok(Json(client.get(&call, "/").send().await?.json().await?))
    };
    let near = test::Server::start(test::service("near", []), Router::new().route("/", get(relay))).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = near.client();
    let call = test::call();
    let request =
        request.get(&call, "/").header("traceparent", trace).header("tracestate", "a=1").header("baggage", "b=2");
    let sent: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["headers"]["traceparent"], trace);
    assert_eq!((&sent["headers"]["tracestate"], &sent["headers"]["baggage"]), (&json!("a=1"), &json!("b=2")));
    assert_eq!(sent["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn an_upstreams_error_is_its_problem() {
    let upstream = Router::new()
        .route("/known", get(async || Problem::new(StatusCode::NOT_FOUND, "No such parcel").field("id", "is unknown")))
        .route("/html", get(async || (StatusCode::BAD_GATEWAY, "<html>")))
        .route("/moved", get(async || (StatusCode::FOUND, [("location", "/")])));
    let server = test::Server::start(test::service("test", []), upstream).await;
    let client = server.client();
    let error = async |path| client.get(&test::call(), path).send().await.unwrap_err();

    let CallError::Problem(problem) = error("/known").await else { panic!("no problem") };
    assert_eq!((problem.title(), problem.errors()[0].field.as_str()), ("No such parcel", "id"));
    assert_eq!(error("/html").await.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(error("/moved").await.status(), Some(StatusCode::FOUND));
    server.stop().await;
}

#[tokio::test]
async fn each_failure_becomes_what_our_own_caller_is_told() {
    let upstream = Router::new()
        .route("/text", get(async || "text"))
        .route("/400", get(async || StatusCode::BAD_REQUEST))
        .route("/500", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/503", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/echo", post(echo));
    let server = test::Server::start(test::service("test", []), upstream).await;
    let client = server.client();
    let call = test::call();
    for (path, status) in [("/400", 502), ("/500", 502), ("/503", 503)] {
        let error = client.get(&call, path).send().await.unwrap_err();
        assert_eq!(Problem::from(error).status(), status, "{path}");
    }
    let error = client.get(&call, "/text").send().await.unwrap().json::<Value>().await.unwrap_err();
    assert!(matches!(error, CallError::Unexpected { .. }), "{error:?}");
    assert_eq!(Problem::from(error).status(), StatusCode::BAD_GATEWAY);

    let gone = test::service("test", []).client(closed_port().await.to_string());
    let error = gone.get(&call, "/").send().await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert_eq!(Problem::from(error).status(), StatusCode::SERVICE_UNAVAILABLE);

    for wrong in [
        client.get(&call, "no-slash"),
        client.get(&call, "/").header("a header", "x"),
        client.get(&call, "/").header("x", "line\nbreak"),
        test::service("test", []).client("not a name").get(&call, "/"),
    ] {
        let error = wrong.send().await.unwrap_err();
        assert!(matches!(error, CallError::Request { .. }), "{error:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_not_called_unreachable() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let client = test::service("test", []).client(listener.local_addr().to_string());
    let call = test::call();
    let request = client.get(&call, "/").send();
    let break_it = async {
        let (mut stream, _peer) = listener.accept().await;
        let mut first = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(request, break_it);
    let error = outcome.unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
}
