//! The services behind the page, on one port, with just enough memory for one visitor.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use craterate_common::instance::INSTANCE;
use parcel_booking_api::BookingRequest;
use parcel_tracking_api::EventRequest;
use samspill::Problem;
use samspill::extract::{IdempotencyKey, Json, Path, Valid};
use samspill::test::{Server, service};
use serde_json::{Value, json};

/// All of them, cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Fakes(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    away: Option<&'static str>,
    /// The keys of the bookings; `b-1` is the first.
    keys: Vec<String>,
    booking: Value,
    events: Vec<Value>,
    is_paid: bool,
}

impl Fakes {
    pub(super) async fn start() -> (Self, Server) {
        let fakes = Self::default();
        let router = Router::new()
            .route("/v2/quotes", post(quote))
            .route("/v1/bookings", post(book))
            .route("/v1/bookings/{id}", get(booking))
            .route("/v1/parcels/{id}", get(parcel))
            .route("/v1/parcels/{id}/events", post(append))
            .route("/v1/invoices/{id}", get(invoice))
            .route("/v1/invoices/{id}/payments", post(pay))
            .with_state(fakes.clone());
        (fakes, Server::start(service("fakes", []), router).await)
    }

    /// Answers 503 from now on.
    pub(super) fn send_away(&self, service: &'static str) {
        self.0.lock().unwrap().away = Some(service);
    }

    pub(super) fn bookings(&self) -> usize {
        self.0.lock().unwrap().keys.len()
    }

    fn asked(&self, service: &'static str) -> Result<std::sync::MutexGuard<'_, Inner>, Problem> {
        let inner = self.0.lock().unwrap();
        if inner.away == Some(service) { Err(StatusCode::SERVICE_UNAVAILABLE.into()) } else { Ok(inner) }
    }
}

type Fake = State<Fakes>;

async fn quote() -> Response {
    let quote = json!({"cents": 14_400, "currency": "NOK", "valid_seconds": 900});
    ([(INSTANCE, "calculator-1")], Json(quote)).into_response()
}

fn ids(number: usize) -> Value {
    let id = |letter| format!("{letter}-{number}");
    json!({"id": id('b'), "tracking_id": id('t'), "invoice_id": id('i'), "cents": 14_400, "currency": "NOK"})
}

async fn book(
    State(fakes): Fake,
    IdempotencyKey(key): IdempotencyKey,
    Valid(Json(request)): Valid<Json<BookingRequest>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut inner = fakes.asked("booking")?;
    let known = inner.keys.iter().position(|known| *known == key);
    let position = known.unwrap_or_else(|| {
        inner.keys.push(key);
        inner.keys.len() - 1
    });
    let booked = ids(position + 1);
    inner.booking = serde_json::to_value(request).unwrap();
    inner.booking.as_object_mut().unwrap().extend(booked.as_object().unwrap().clone());
    inner.booking["status"] = json!("confirmed");
    inner.booking["created_at"] = json!("2026-01-01T00:00:00.000Z");
    Ok((StatusCode::CREATED, Json(booked)))
}

async fn booking(State(fakes): Fake, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let inner = fakes.asked("booking")?;
    if inner.booking["id"] == id { Ok(Json(inner.booking.clone())) } else { Err(StatusCode::NOT_FOUND.into()) }
}

async fn parcel(State(fakes): Fake, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let events = fakes.asked("tracking")?.events.clone();
    let status = events.last().map_or(json!("registered"), |event| event["type"].clone());
    Ok(Json(json!({"id": id, "from": "NO", "to": "SE", "grams": 2500, "status": status, "events": events})))
}

async fn append(
    State(fakes): Fake,
    Valid(Json(EventRequest { kind, place })): Valid<Json<EventRequest>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let events = &mut fakes.asked("tracking")?.events;
    let event = json!({"sequence": events.len() + 1, "type": kind, "place": place, "at": "2026-01-02T00:00:00.000Z"});
    events.push(event.clone());
    Ok((StatusCode::CREATED, Json(event)))
}

async fn invoice(State(fakes): Fake, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let (paid_cents, status) = if fakes.asked("invoicing")?.is_paid { (14_400, "paid") } else { (0, "open") };
    let mut invoice = json!({"id": id, "booking_id": "b-1", "cents": 14_400, "currency": "NOK"});
    invoice["paid_cents"] = json!(paid_cents);
    invoice["status"] = json!(status);
    invoice["created_at"] = json!("2026-01-01T00:00:00.000Z");
    Ok(Json(invoice))
}

/// A payment has a key, or it is refused.
async fn pay(
    State(fakes): Fake,
    Path(id): Path<String>,
    _key: IdempotencyKey,
    Json(payment): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    assert_eq!(payment, json!({"cents": 14_400}));
    fakes.asked("invoicing")?.is_paid = true;
    let mut payment = json!({"id": "p-1", "invoice_id": id, "cents": 14_400, "currency": "NOK"});
    payment["outstanding_cents"] = json!(0);
    Ok((StatusCode::CREATED, Json(payment)))
}
