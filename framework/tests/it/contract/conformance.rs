//! The suite: it passes against what keeps the contract, and says what is wrong with what does not.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use samspill::contract::Conformance;
use samspill::extract::Json;
use samspill::{Call, Problem, test};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parcels::{ParcelsApi, ParcelsClient, server};

#[tokio::test]
async fn the_frameworks_own_server_keeps_every_contract() {
    let server = server().await;
    let client = ParcelsClient::from(server.client());
    let scenario = async {
        let parcel = client.parcel(&test::call(), "P-1".to_owned()).await?;
        if parcel.id == "P-1" { Ok(()) } else { Err(Problem::new(StatusCode::CONFLICT, "Another parcel")) }
    };
    let conformance = ParcelsApi::conformance(&server.url("")).await.check("a parcel has its id", scenario).await;
    conformance.assert_kept();
    let count = conformance.checks().len();
    assert!(count > 60, "{count}");
    assert_eq!(conformance.to_string(), format!("contract `parcels`: {count} of {count} checks passed"));
    server.stop().await;
}

#[tokio::test]
async fn a_scenario_that_fails_is_told() {
    let server = server().await;
    let conformance = ParcelsApi::conformance(&server.url("")).await;
    let conformance = conformance.check("a count goes up", async { Err("it stayed at 7") }).await;
    assert!(!conformance.is_kept());
    assert!(conformance.to_string().ends_with("\n  a count goes up: it stayed at 7"), "{conformance}");
    server.stop().await;
}

#[tokio::test]
async fn who_is_not_there_keeps_nothing() {
    let server = server().await;
    let url = server.url("");
    server.stop().await;
    let conformance = ParcelsApi::conformance(&url).await;
    assert!(conformance.checks().iter().all(|check| check.failure.is_some()), "{conformance}");
    assert!(conformance.to_string().contains("cannot be reached"), "{conformance}");
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Counts {
    total: u64,
    note: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NewEvent {
    #[schemars(length(min = 1))]
    kind: String,
}

/// What the servers below keep, but for one thing each.
#[samspill::api(
    name = "counts",
    versions = 1..=2,
    deprecated(v1, since = "2026-11-01", sunset = "2027-05-01"),
)]
trait Counter {
    #[get("/counts")]
    async fn counts(&self, call: &Call) -> Result<Json<Counts>, Problem>;

    #[post("/events")]
    async fn record(&self, call: &Call, event: Json<NewEvent>) -> Result<Json<Counts>, Problem>;
}

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    MissingProperty,
    WrongType,
    Null,
    NegativeNumber,
    UndocumentedStatus,
    InternalError,
    AnotherMediaType,
    NotJson,
    PlainTextError,
    ProblemWithoutTitle,
    ProblemWithAnotherStatus,
    NoVary,
    NoVersionInTheAnswer,
    HeaderIsIgnored,
    NoDeprecation,
    NoDeprecationOfErrors,
    NoSunset,
    WrongSunset,
    NoSuccessor,
    EverythingIsDeprecated,
    AcceptsHalfAJson,
    AcceptsAnyShape,
    AcceptsAnyMediaType,
    NotFoundForAnotherMethod,
    AnyVersionWillDo,
    NothingIsSupported,
    NoVersionWillDo,
}

fn problem(flaw: Flaw, status: u16, members: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    if flaw == Flaw::PlainTextError {
        return (status, "wrong").into_response();
    }
    let mut problem = json!({ "title": "Wrong", "status": status.as_u16() });
    if flaw == Flaw::ProblemWithoutTitle {
        problem["title"] = json!("");
    }
    if flaw == Flaw::ProblemWithAnotherStatus {
        problem["status"] = json!(500);
    }
    problem.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    (status, [("content-type", "application/problem+json")], problem.to_string()).into_response()
}

/// A service that knows nothing of Rust's contracts.
async fn answer(flaw: Flaw, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1024).await.unwrap();
    let supported = json!({ "supported": if flaw == Flaw::NothingIsSupported { Value::Null } else { json!([1, 2]) } });
    let path = head.uri.path();
    let in_path = path.strip_prefix("/v").map(|rest| (rest[..1].to_owned(), &rest[1..]));
    let is_in_path = in_path.is_some();
    let (stated, rest) = match in_path {
        Some((version, rest)) => (version, rest),
        None if flaw == Flaw::HeaderIsIgnored => return problem(flaw, 404, &json!({})),
        None => match head.headers.get("api-version") {
            Some(value) => (value.to_str().unwrap().to_owned(), path),
            None if flaw == Flaw::NoVersionWillDo => ("2".to_owned(), path),
            None => return problem(flaw, 400, &supported),
        },
    };
    let version = match stated.as_str() {
        "1" => 1,
        "2" => 2,
        _ if flaw == Flaw::AnyVersionWillDo => 2,
        _ => return problem(flaw, if is_in_path { 404 } else { 406 }, &supported),
    };
    let mut response = operation(flaw, &head.method, rest, &head.headers, &body);
    let is_error = !response.status().is_success();
    let headers = response.headers_mut();
    if !is_in_path && flaw != Flaw::NoVary {
        headers.append("vary", "accept, API-Version".parse().unwrap());
    }
    if !is_in_path && flaw != Flaw::NoVersionInTheAnswer {
        headers.append("api-version", version.into());
    }
    let is_silent = flaw == Flaw::NoDeprecation || (flaw == Flaw::NoDeprecationOfErrors && is_error);
    if (version == 1 && !is_silent) || flaw == Flaw::EverythingIsDeprecated {
        headers.append("deprecation", "@1793491200".parse().unwrap());
        let sunset = if flaw == Flaw::WrongSunset { "2027-05-01" } else { "Sat, 01 May 2027 00:00:00 GMT" };
        if flaw != Flaw::NoSunset {
            headers.append("sunset", sunset.parse().unwrap());
        }
        headers.append("link", "<https://counts.example/>; rel=\"deprecation\"".parse().unwrap());
        if flaw != Flaw::NoSuccessor {
            headers.append("link", "<https://counts.example/v2>; rel=\"successor-version\"".parse().unwrap());
        }
    }
    response
}

fn operation(flaw: Flaw, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    match (method.as_str(), path) {
        ("GET", "/counts") => {}
        ("POST", "/events") => {
            let is_json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
            let body: Option<Value> = serde_json::from_slice(body).ok();
            if !is_json && flaw != Flaw::AcceptsAnyMediaType {
                return problem(flaw, 415, &json!({}));
            }
            if body.is_none() && flaw != Flaw::AcceptsHalfAJson {
                return problem(flaw, 400, &json!({}));
            }
            if body.is_some_and(|body| !body["kind"].is_string())
                && !matches!(flaw, Flaw::AcceptsAnyShape | Flaw::AcceptsAnyMediaType)
            {
                return problem(flaw, 422, &json!({}));
            }
        }
        (_, "/counts" | "/events") if flaw != Flaw::NotFoundForAnotherMethod => return problem(flaw, 405, &json!({})),
        _ => return problem(flaw, 404, &json!({})),
    }
    let counts = match flaw {
        Flaw::MissingProperty => json!({ "note": null }),
        Flaw::WrongType => json!({ "total": "many", "note": null }),
        Flaw::Null => json!({ "total": null, "note": null }),
        Flaw::NegativeNumber => json!({ "total": -1, "note": null }),
        _ => json!({ "total": 7, "note": null, "more": [true] }),
    };
    let status = match flaw {
        Flaw::UndocumentedStatus => StatusCode::ACCEPTED,
        Flaw::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let media_type = if flaw == Flaw::AnotherMediaType { "text/html" } else { "application/json; charset=utf-8" };
    let body = if flaw == Flaw::NotJson { "{".to_owned() } else { counts.to_string() };
    (status, [("content-type", media_type)], body).into_response()
}

async fn conformance(flaw: Flaw) -> Conformance {
    let router = Router::new().fallback(move |request: Request| answer(flaw, request));
    let server = test::Server::start(test::service("counts", []), router).await;
    let conformance = CounterApi::conformance(&server.url("")).await;
    server.stop().await;
    conformance
}

#[tokio::test]
async fn another_implementation_keeps_it_too() {
    conformance(Flaw::None).await.assert_kept();
}

#[tokio::test]
async fn each_flaw_is_found_and_told() {
    for (flaw, expected) in [
        (Flaw::MissingProperty, "GET /v1/counts answers as its document says: .total: is missing"),
        (Flaw::WrongType, "GET /v1/counts answers as its document says: .total: \"many\" is not of type integer"),
        (Flaw::Null, "GET /v1/counts answers as its document says: .total: null is not of type integer"),
        (Flaw::NegativeNumber, "GET /v1/counts answers as its document says: .total: -1 is out of bounds"),
        (
            Flaw::UndocumentedStatus,
            "GET /v2/counts answers as its document says: it answers 202 Accepted, which the document does not name",
        ),
        (
            Flaw::InternalError,
            "POST /v2/events answers as its document says: it answers 500 Internal Server Error, which the document does \
             not name",
        ),
        (
            Flaw::AnotherMediaType,
            "GET /v2/counts answers as its document says: it answers 200 OK with `content-type: text/html`",
        ),
        (
            Flaw::NotJson,
            "GET /v2/counts answers as its document says: its body is not JSON: EOF while parsing an object at line 1 \
             column 1",
        ),
        (
            Flaw::PlainTextError,
            "POST /v2/events refuses half a body: its error is `content-type: text/plain`, not application/problem+json",
        ),
        (
            Flaw::ProblemWithoutTitle,
            "POST /v2/events refuses half a body: its problem does not say `title` and `status: 400`",
        ),
        (
            Flaw::ProblemWithAnotherStatus,
            "POST /v2/events refuses half a body: its problem does not say `title` and `status: 400`",
        ),
        (Flaw::NoVary, "GET /counts takes `api-version: 2`: it answers 200 OK without `vary: api-version`"),
        (Flaw::NoVersionInTheAnswer, "GET /counts takes `api-version: 2`: it answers without `api-version: 2`"),
        (
            Flaw::HeaderIsIgnored,
            "GET /counts takes `api-version: 2`: it answers 404 Not Found without `vary: api-version`",
        ),
        (
            Flaw::NoDeprecation,
            "GET /v1/counts answers as its document says: it answers without `deprecation: @1793491200`",
        ),
        (
            Flaw::NoDeprecationOfErrors,
            "POST /v1/events refuses half a body: it answers without `deprecation: @1793491200`",
        ),
        (
            Flaw::NoSunset,
            "GET /v1/counts answers as its document says: it answers without `sunset: Sat, 01 May 2027 00:00:00 GMT`",
        ),
        (
            Flaw::WrongSunset,
            "GET /v1/counts answers as its document says: it answers `sunset: 2027-05-01`, not `sunset: Sat, 01 May 2027 \
             00:00:00 GMT`",
        ),
        (
            Flaw::NoSuccessor,
            "GET /v1/counts answers as its document says: it answers without a `link` with rel=\"successor-version\"",
        ),
        (
            Flaw::EverythingIsDeprecated,
            "GET /v2/counts answers as its document says: it answers `deprecation: @1793491200`, and v2 is not deprecated",
        ),
        (Flaw::AcceptsHalfAJson, "POST /v2/events refuses half a body: it answers 200 OK, not 400"),
        (Flaw::AcceptsAnyShape, "POST /v2/events refuses a text for an object: it answers 200 OK, not 400 or 422"),
        (Flaw::AcceptsAnyMediaType, "POST /v2/events refuses another media type: it answers 200 OK, not 415"),
        (Flaw::NotFoundForAnotherMethod, "DELETE /v2/counts is no operation: it answers 404 Not Found, not 405"),
        (Flaw::AnyVersionWillDo, "GET /v3/counts is refused: it answers 200 OK, not 404"),
        (Flaw::AnyVersionWillDo, "GET /counts refuses `api-version: 3`: it answers 200 OK, not 406"),
        (Flaw::NothingIsSupported, "GET /v3/counts is refused: its problem has no list of `supported` versions"),
        (Flaw::NoVersionWillDo, "GET /counts asks for a version: it answers 200 OK, not 400"),
    ] {
        let conformance = conformance(flaw).await;
        let told = conformance.to_string();
        assert!(told.lines().any(|line| line.trim_start() == expected), "{flaw:?}: {expected:?} is not in {told}");
        assert!(!conformance.is_kept());
    }
}

#[samspill::api(name = "refuser", versions = 1..=1)]
trait Refuser {
    #[get("/counts")]
    async fn counts(&self, call: &Call) -> Result<Json<u64>, Problem>;
}

#[tokio::test]
async fn who_refuses_everything_keeps_nothing() {
    let refuser = MockRefuser::new().with_counts(|_call| Err(StatusCode::FORBIDDEN.into()));
    let server = test::Server::start(test::service("refuser", []), RefuserApi::router(refuser)).await;
    let suite = RefuserApi::conformance(&server.url("")).await;
    assert!(!suite.is_kept());
    assert!(suite.to_string().contains("an operation of v1 that needs nothing to be there succeeds"), "{suite}");
    server.stop().await;
}
