//! The pages, one handler each.

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use craterate_common::text::check_id;
use maud::Markup;
use parcel_booking_api::{Booking, BookingRequest};
use parcel_tracking_api::{EventRequest, EventType};
use samspill::extract::{Form, Path};
use samspill::{Call, Problem};
use shipping_cost_calculator_api::Quote;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::form::{Happening, Messages, Order, Payment};
use crate::shop::{Shop, Visit};
use crate::view;

/// Nothing from elsewhere, no script at all; forms go only to ourselves.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All routes.
pub(crate) fn router(shop: Shop) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/bookings", post(book))
        .route("/bookings/{id}", get(follow))
        .route("/bookings/{id}/events", post(append))
        .route("/bookings/{id}/payments", post(pay))
        .fallback(nowhere)
        .with_state(shop)
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(REFERRER_POLICY, "same-origin"))
        .layer(header(CACHE_CONTROL, "private, no-cache"))
}

/// A header of every page.
fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// From, to, weight; and once they are known, the price and the form to book.
async fn home(call: Call, State(shop): State<Shop>, Form(order): Form<Order>) -> Response {
    let mut visit = shop.visit(call);
    if order.is_blank() {
        return page(StatusCode::OK, view::home(&visit, &Order::blank(), None, &Messages::default()));
    }
    let order = Order { key: new_key(), ..order };
    match price(&mut visit, &order).await {
        Ok(quote) => page(StatusCode::OK, view::home(&visit, &order, Some(&quote), &Messages::default())),
        Err(refusal) => page(refusal.status, view::home(&visit, &order, None, &refusal.messages)),
    }
}

/// Books, and shows what came of it. Sent again, the same form has the same key, and the same booking is shown.
async fn book(call: Call, State(shop): State<Shop>, Form(order): Form<Order>) -> Response {
    let mut visit = shop.visit(call);
    let order = if order.key.is_empty() { Order { key: new_key(), ..order } } else { order };
    let parcel = match order.parcel() {
        Ok(parcel) => parcel,
        Err(messages) => {
            return page(StatusCode::UNPROCESSABLE_ENTITY, view::home(&visit, &order, None, &messages));
        }
    };
    let (sender, recipient) = (order.sender.trim().to_owned(), order.recipient.trim().to_owned());
    let request = BookingRequest { from: parcel.from, to: parcel.to, grams: parcel.grams, sender, recipient };
    match visit.book(&order.key, &request).await {
        Ok(booked) => page(StatusCode::CREATED, view::booked(&visit, &request, &booked)),
        Err(problem) => {
            // The form again, with its key: whoever sends it once more gets one booking all the same.
            let quote = price(&mut visit, &order).await.ok();
            page(problem.status(), view::home(&visit, &order, quote.as_ref(), &Messages::from(&problem)))
        }
    }
}

/// A booking with its parcel and its invoice.
async fn follow(call: Call, State(shop): State<Shop>, Path(id): Path<String>) -> Response {
    let mut visit = shop.visit(call);
    match find(&mut visit, &id).await {
        Ok(booking) => show(&mut visit, &booking, StatusCode::OK, &Messages::default()).await,
        Err(problem) => failure(&visit, &problem),
    }
}

/// Plays the carrier: something happens to the parcel.
async fn append(
    call: Call,
    State(shop): State<Shop>,
    Path(id): Path<String>,
    Form(happening): Form<Happening>,
) -> Response {
    let mut visit = shop.visit(call);
    let appended = match (EventType::from_name(&happening.kind), check_id(&happening.tracking_id)) {
        (Some(kind), Ok(())) => {
            visit.append(&happening.tracking_id, &EventRequest { kind, place: happening.place }).await
        }
        _ => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "This form is not ours")),
    };
    back_to(&mut visit, &id, "parcel", appended.map(drop)).await
}

/// Pays what is left of the invoice.
async fn pay(call: Call, State(shop): State<Shop>, Path(id): Path<String>, Form(payment): Form<Payment>) -> Response {
    let mut visit = shop.visit(call);
    let paid = match (payment.cents.parse::<u64>(), check_id(&payment.invoice_id), check_id(&payment.key)) {
        (Ok(cents), Ok(()), Ok(())) => visit.pay(&payment.invoice_id, &payment.key, cents).await,
        _ => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "This form is not ours")),
    };
    back_to(&mut visit, &id, "invoice", paid).await
}

async fn nowhere(call: Call, State(shop): State<Shop>, uri: Uri) -> Response {
    // The edge gives us whatever it has no other service for, so this also ends calls of programs to a wrong path.
    if uri.path() == "/api" || uri.path().starts_with("/api/") {
        return Problem::from(StatusCode::NOT_FOUND).into_response();
    }
    failure(&shop.visit(call), &Problem::new(StatusCode::NOT_FOUND, "There is no such page"))
}

/// Why there is no price.
struct Refusal {
    status: StatusCode,
    messages: Messages,
}

async fn price(visit: &mut Visit, order: &Order) -> Result<Quote, Refusal> {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let parcel = order.parcel().map_err(|messages| Refusal { status, messages })?;
    let refused = |problem: Problem| Refusal { status: problem.status(), messages: Messages::from(&problem) };
    visit.quote(&parcel).await.map_err(refused)
}

async fn find(visit: &mut Visit, id: &str) -> Result<Booking, Problem> {
    // The id becomes part of a path: only what can be an id is asked for.
    check_id(id).or(Err(Problem::new(StatusCode::NOT_FOUND, "No such booking")))?;
    visit.booking(id).await
}

async fn show(visit: &mut Visit, booking: &Booking, status: StatusCode, messages: &Messages) -> Response {
    let (parcel, invoice) = visit.details(booking).await;
    page(status, view::booking(visit, booking, parcel.as_ref(), invoice.as_ref(), messages, &new_key()))
}

/// After a change: the booking's page by a GET, so that a reload repeats nothing; or what is wrong, on the same page.
async fn back_to(visit: &mut Visit, id: &str, part: &str, outcome: Result<(), Problem>) -> Response {
    let booking = match find(visit, id).await {
        Ok(booking) => booking,
        Err(problem) => return failure(visit, &problem),
    };
    match outcome {
        Ok(()) => Redirect::to(&format!("/bookings/{id}#{part}")).into_response(),
        Err(problem) => show(visit, &booking, problem.status(), &Messages::from(&problem)).await,
    }
}

fn failure(visit: &Visit, problem: &Problem) -> Response {
    page(problem.status(), view::failure(visit, problem))
}

fn page(status: StatusCode, markup: Markup) -> Response {
    (status, Html(markup.into_string())).into_response()
}

/// A key for a form that was not sent yet.
fn new_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests;
