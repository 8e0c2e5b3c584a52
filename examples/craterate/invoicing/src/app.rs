//! The API.

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use craterate_api::invoicing::{Invoice, InvoiceRequest, PaymentRequest};
use craterate_api::mistakes::{Mistakes, check_id};
use craterate_api::{CURRENCY, idempotency};
use craterate_storage::new_id;
use samspill::extract::{Json, Path};
use samspill::{Call, Problem};

use crate::store::{Create, NewInvoice, Pay, Store};

/// The largest amount: ten thousand million kroner, so that sums stay far from the end of an integer.
const MAX_CENTS: u64 = 1_000_000_000_000;

/// All routes.
pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route("/v1/invoices", post(create))
        .route("/v1/invoices/{id}", get(show))
        .route("/v1/invoices/{id}/payments", post(pay))
        .with_state(store)
}

async fn create(
    call: Call,
    State(store): State<Store>,
    Json(request): Json<InvoiceRequest>,
) -> Result<Response, Problem> {
    let new = check(request)?;
    match call.database("INSERT", "invoices", store.create(&new)).await? {
        Create::Made(invoice) => {
            // Relative, so that it leads there through the edge as well, where the path has another beginning.
            let location = format!("invoices/{}", invoice.id);
            Ok((StatusCode::CREATED, [(LOCATION, location)], Json(invoice)).into_response())
        }
        Create::IdTaken => Err(Problem::new(StatusCode::CONFLICT, "Another invoice has this id")
            .field("id", "belongs to an invoice of another booking or amount")),
    }
}

async fn show(call: Call, State(store): State<Store>, Path(id): Path<String>) -> Result<Json<Invoice>, Problem> {
    call.database("SELECT", "invoices", store.get(&id)).await?.map(Json).ok_or_else(no_invoice)
}

async fn pay(
    call: Call,
    State(store): State<Store>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(PaymentRequest { cents }): Json<PaymentRequest>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let mut mistakes = Mistakes::new();
    mistakes.note("cents", check_cents(cents));
    mistakes.none()?;
    match call.database("INSERT", "payments", store.pay(&id, cents, key.as_deref())).await? {
        Pay::Paid(payment) => Ok((StatusCode::CREATED, Json(payment)).into_response()),
        Pay::NoInvoice => Err(no_invoice()),
        Pay::TooMuch { outstanding_cents } => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "More than what is left to pay")
                .field("cents", format!("must be at most {outstanding_cents}")))
        }
        Pay::KeyTaken => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The key belongs to another payment")
            .field("Idempotency-Key", "was used for another invoice or amount")),
    }
}

fn check(request: InvoiceRequest) -> Result<NewInvoice, Problem> {
    let id = request.id.unwrap_or_else(new_id);
    let mut mistakes = Mistakes::new();
    mistakes.note("id", check_id(&id));
    mistakes.note("booking_id", check_id(&request.booking_id));
    mistakes.note("cents", check_cents(request.cents));
    if request.currency != CURRENCY {
        mistakes.add("currency", format!("must be {CURRENCY}"));
    }
    mistakes.none()?;
    Ok(NewInvoice { id, booking_id: request.booking_id, cents: request.cents, currency: request.currency })
}

fn check_cents(cents: u64) -> Result<(), String> {
    if (1..=MAX_CENTS).contains(&cents) { Ok(()) } else { Err(format!("must be 1 to {MAX_CENTS}")) }
}

fn no_invoice() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No such invoice")
}

#[cfg(test)]
mod tests;
