//! The API.

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use craterate_api::booking::{Booking, BookingRequest, BookingsQuery};
use craterate_api::instance::Instances;
use craterate_api::mistakes::Mistakes;
use craterate_api::{Page, idempotency};
use craterate_storage::new_id;
use samspill::extract::{Json, Path, Query};
use samspill::{Call, Problem};

use crate::complete::{Services, complete};
use crate::store::Store;

/// What every handler has.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) services: Services,
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    Router::new().route("/v1/bookings", post(book).get(list)).route("/v1/bookings/{id}", get(show)).with_state(app)
}

/// Books a parcel, once per key, whatever breaks on the way.
async fn book(
    call: Call,
    State(App { store, services }): State<App>,
    headers: HeaderMap,
    Json(request): Json<BookingRequest>,
) -> Result<Response, Problem> {
    let mut instances = Instances::default();
    // What is asked? A wrong question is a 422 and leaves nothing.
    request.check()?;
    let key = idempotency::key(&headers)?.unwrap_or_else(new_id);
    // Was it asked before? If not: what does it cost, and from here on it is a booking. The price is asked for outside
    // of the transaction, which must not wait for another service.
    let earlier = call.database("SELECT", "bookings", store.find(&key)).await?;
    let booking = match earlier {
        Some(booking) => booking,
        None => {
            let quote = services.quote(&call, &request, &mut instances).await?;
            call.database("INSERT", "bookings", store.begin(&key, &request, &quote)).await?
        }
    };
    if !is_same(&booking, &request) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The key belongs to another booking")
            .field("Idempotency-Key", "was used with another body"));
    }
    // From here on a failure leaves it pending: the caller may repeat the key, and we finish it in any case.
    complete(&call, &store, &services, &booking, &mut instances).await?;
    // Relative, so that it leads to the booking through the edge as well, where the path has another beginning.
    let location = format!("bookings/{}", booking.booked.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], instances.into_headers(), Json(booking.booked)).into_response())
}

async fn show(
    call: Call,
    State(App { store, .. }): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Booking>, Problem> {
    let booking = call.database("SELECT", "bookings", store.get(&id)).await?;
    booking.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "No such booking"))
}

async fn list(
    call: Call,
    State(App { store, .. }): State<App>,
    Query(BookingsQuery { cursor }): Query<BookingsQuery>,
) -> Result<Json<Page<Booking>>, Problem> {
    let mut mistakes = Mistakes::new();
    let before = cursor.map_or(Ok(u64::MAX), |cursor| cursor.parse());
    let before = mistakes.note("cursor", before.map_err(|_not_ours| "must be the `next` of another page"));
    let Some(before) = before else { return Err(mistakes.into()) };
    Ok(Json(call.database("SELECT", "bookings", store.page(before)).await?))
}

/// Whether a booking was made from this request.
fn is_same(booking: &Booking, request: &BookingRequest) -> bool {
    let Booking { from, to, grams, sender, recipient, .. } = booking;
    let made_from = (from, to, grams, sender, recipient);
    made_from == (&request.from, &request.to, &request.grams, &request.sender, &request.recipient)
}

#[cfg(test)]
mod tests;
