//! Bookings and their keys, with services beside that do what the test wants.

use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::{Method, Request, StatusCode};
use craterate_common::instance::{INSTANCE, named};
use http_body_util::BodyExt;
use parcel_booking_api::Status;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceExt;

use self::fakes::Fakes;
use super::*;
use crate::complete::finish;

mod fakes;

/// Two replicas on one database, and the services around them.
struct World {
    replicas: [App; 2],
    fakes: Fakes,
    _folder: TempDir,
    _server: samspill::test::Server,
}

async fn world() -> World {
    let (fakes, server) = Fakes::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/booking.db", folder.path().display());
    let outbound = server.url("");
    let replica = async || {
        let service = samspill::test::service("parcel-booking", [("SAMSPILL_OUTBOUND", outbound.as_str())]);
        App { store: Store::open(&url).await.unwrap(), services: Services::of(&service) }
    };
    World { replicas: [replica().await, replica().await], fakes, _folder: folder, _server: server }
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

async fn ask(app: &App, request: Request<Body>) -> Reply {
    let answer = named(router(app.clone()), Some("parcel-booking-0")).into_router().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status, headers: parts.headers, body: serde_json::from_slice(&bytes).unwrap() }
}

async fn book(app: &App, key: Option<&str>, body: &Value) -> Reply {
    let mut request =
        Request::builder().method(Method::POST).uri("/v1/bookings").header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    ask(app, request.body(Body::from(body.to_string())).unwrap()).await
}

async fn get(app: &App, path: &str) -> Reply {
    ask(app, Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

async fn list(app: &App) -> Vec<Value> {
    get(app, "/v1/bookings").await.body["items"].as_array().unwrap().clone()
}

fn parcel() -> Value {
    json!({"from": "NO", "to": "SE", "grams": 2500, "sender": "Kari Nordmann", "recipient": "Sven Svensson"})
}

#[tokio::test]
async fn a_booking_makes_one_parcel_and_one_invoice() {
    let World { replicas: [app, other], fakes, .. } = &world().await;
    let Reply { status, headers, body } = book(app, Some("k"), &parcel()).await;
    assert_eq!((status, &body["cents"], &body["currency"]), (StatusCode::CREATED, &json!(14_400), &json!("NOK")));
    assert_eq!(body.as_object().unwrap().len(), 5, "{body}");
    assert_eq!(fakes.parcels(), [body["tracking_id"].as_str().unwrap()]);
    assert_eq!(fakes.invoices(), [body["invoice_id"].as_str().unwrap()]);
    assert_eq!(fakes.calls(), ["quote", "parcel", "invoice", "event"], "each service is asked once");

    let id = body["id"].as_str().unwrap();
    assert_eq!(headers[LOCATION], format!("bookings/{id}"));
    let shown = get(other, &format!("/v1/bookings/{id}")).await;
    let mut expected = parcel();
    expected.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    expected["status"] = json!("confirmed");
    expected["created_at"] = shown.body["created_at"].clone();
    assert_eq!((shown.status, shown.body), (StatusCode::OK, expected));
}

#[tokio::test]
async fn the_answer_names_every_instance_that_had_a_part() {
    let World { replicas: [app, _], .. } = &world().await;
    let names: Vec<_> = book(app, None, &parcel()).await.headers.get_all(INSTANCE).iter().cloned().collect();
    let fakes = ["calculator-0", "parcel-tracking-0", "invoicing-0", "statistics-0"];
    assert_eq!(names, [&fakes[..], &["parcel-booking-0"]].concat());
}

#[tokio::test]
async fn a_repeated_key_is_the_same_booking() {
    let World { replicas: [app, other], fakes, .. } = &world().await;
    let first = book(app, Some("k"), &parcel()).await;
    let calls = fakes.calls();
    let second = book(other, Some("k"), &parcel()).await;
    assert_eq!((second.status, &second.headers[LOCATION]), (StatusCode::CREATED, &first.headers[LOCATION]));
    assert_eq!(second.body, first.body);
    assert_eq!(fakes.calls(), calls, "nothing was left to do");
    assert_eq!(list(app).await.len(), 1);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let World { replicas: [app, _], .. } = &world().await;
    book(app, Some("k"), &parcel()).await;
    for (field, value) in [("to", json!("DK")), ("grams", json!(1)), ("sender", json!("X")), ("recipient", json!("X"))]
    {
        let mut other = parcel();
        other[field] = value;
        let reply = book(app, Some("k"), &other).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
        assert_eq!(reply.body["errors"][0]["field"], "Idempotency-Key");
    }
    assert_eq!(list(app).await.len(), 1);
}

#[tokio::test]
async fn without_a_key_every_booking_is_another() {
    let World { replicas: [app, _], fakes, .. } = &world().await;
    let (first, second) = (book(app, None, &parcel()).await, book(app, None, &parcel()).await);
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!((fakes.parcels().len(), fakes.invoices().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_once_on_two_replicas_is_one_booking() {
    let World { replicas, fakes, .. } = &world().await;
    let mut requests = JoinSet::new();
    for number in 0..16 {
        let app = replicas[number % 2].clone();
        requests.spawn(async move { book(&app, Some("k"), &parcel()).await });
    }
    let replies = requests.join_all().await;
    for Reply { status, body, .. } in &replies {
        assert_eq!((*status, body), (StatusCode::CREATED, &replies[0].body));
    }
    assert_eq!((list(&replicas[0]).await.len(), fakes.parcels().len(), fakes.invoices().len()), (1, 1, 1));
    assert_eq!(fakes.calls().iter().filter(|call| **call == "event").count(), 1, "one booking counts once");
}

#[tokio::test]
async fn what_a_failure_leaves_is_finished_by_a_repeat() {
    for away in ["parcel", "invoice"] {
        let World { replicas: [app, other], fakes, .. } = &world().await;
        fakes.send_away(&[away]);
        let failed = book(app, Some("k"), &parcel()).await;
        assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE, "{away}: {}", failed.body);
        assert_eq!(list(app).await[0]["status"], "pending");
        fakes.send_away(&[]);
        let Reply { status, body, .. } = book(other, Some("k"), &parcel()).await;
        assert_eq!(status, StatusCode::CREATED);
        let booked = &list(app).await[0];
        assert_eq!((&booked["status"], &booked["id"]), (&json!("confirmed"), &body["id"]));
        assert_eq!(fakes.parcels(), [body["tracking_id"].as_str().unwrap()]);
        assert_eq!(fakes.invoices(), [body["invoice_id"].as_str().unwrap()]);
    }
}

#[tokio::test]
async fn what_a_failure_leaves_is_finished_in_any_case() {
    let World { replicas: [app, other], fakes, .. } = &world().await;
    fakes.send_away(&["invoice"]);
    book(app, Some("one"), &parcel()).await;
    book(app, Some("two"), &parcel()).await;
    fakes.send_away(&[]);
    let pending = other.store.pending(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(pending.len(), 2);
    finish(&samspill::test::call(), &other.store, &other.services, &pending).await;
    assert!(other.store.pending(std::time::Duration::ZERO).await.unwrap().is_empty());
    let booked = list(app).await;
    assert!(booked.iter().all(|booking| booking["status"] == "confirmed"), "{booked:?}");
    assert_eq!((fakes.parcels().len(), fakes.invoices().len()), (2, 2));
}

#[tokio::test]
async fn what_is_on_its_way_is_left_alone() {
    let World { replicas: [app, _], fakes, .. } = &world().await;
    fakes.send_away(&["parcel"]);
    book(app, None, &parcel()).await;
    let old = app.store.pending(std::time::Duration::from_secs(3600)).await.unwrap();
    assert!(old.is_empty(), "{old:?}");
}

#[tokio::test]
async fn a_booking_does_without_statistics() {
    let World { replicas: [app, _], fakes, .. } = &world().await;
    fakes.send_away(&["event"]);
    assert_eq!(book(app, Some("k"), &parcel()).await.status, StatusCode::CREATED);
    assert_eq!(list(app).await[0]["status"], "confirmed");
}

#[tokio::test]
async fn without_a_price_nothing_is_booked() {
    let World { replicas: [app, _], fakes, .. } = &world().await;
    fakes.send_away(&["quote"]);
    assert_eq!(book(app, Some("k"), &parcel()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(list(app).await.is_empty());
    fakes.send_away(&[]);
    assert_eq!(book(app, Some("k"), &parcel()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn bad_input_names_every_field_and_books_nothing() {
    let World { replicas: [app, _], fakes, .. } = &world().await;
    let bad = json!({"from": "XX", "to": "", "grams": 0, "sender": " ", "recipient": "\n"});
    let Reply { status, body, .. } = book(app, None, &bad).await;
    let fields: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fields, ["from", "grams", "recipient", "sender", "to"]);
    let mut unknown = parcel();
    unknown["colour"] = json!("red");
    assert_eq!(book(app, None, &unknown).await.body["errors"][0]["field"], "colour");
    let key = "a key";
    assert_eq!(book(app, Some(key), &parcel()).await.body["errors"][0]["field"], "Idempotency-Key");
    assert!(fakes.calls().is_empty() && list(app).await.is_empty());
}

#[tokio::test]
async fn the_list_has_every_booking_once_the_newest_first() {
    let World { replicas: [app, _], .. } = &world().await;
    let quote = shipping_cost_calculator_api::Quote { cents: 1, currency: "NOK".to_owned(), valid_seconds: 1 };
    let request: BookingRequest = serde_json::from_value(parcel()).unwrap();
    let mut made = Vec::new();
    for number in 0..120 {
        made.push(app.store.begin(&format!("k{number}"), &request, &quote).await.unwrap());
    }
    made.reverse();
    let (mut listed, mut path) = (Vec::new(), "/v1/bookings".to_owned());
    loop {
        let page: Page<Booking, u64> = serde_json::from_value(get(app, &path).await.body).unwrap();
        listed.extend(page.items);
        let Some(next) = page.next else { break };
        path = format!("/v1/bookings?cursor={next}");
    }
    assert_eq!(listed, made);
    assert!(listed.iter().all(|booking| booking.status == Status::Pending));
    let wrong = get(app, "/v1/bookings?cursor=yesterday").await;
    assert_eq!(wrong.body["errors"][0]["field"], "cursor");
}

#[tokio::test]
async fn an_unknown_booking_is_not_found() {
    let World { replicas: [app, _], .. } = &world().await;
    assert_eq!(get(app, "/v1/bookings/b-1").await.status, StatusCode::NOT_FOUND);
}
