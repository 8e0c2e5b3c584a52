//! The API.

use axum::http::HeaderMap;
use craterate_common::instance::Instances;
use craterate_storage::new_id;
use parcel_booking_api::{
    Booked, Booking, BookingError, BookingRequest, BookingsQuery, ParcelBooking, ParcelBookingApi,
};
use samspill::contract::{ApiRouter, Created};
use samspill::extract::{IdempotencyKey, Json, Path, Query, Valid};
use samspill::{Call, Page, Problem};

use crate::complete::{Services, complete};
use crate::store::Store;

/// What every method has.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) services: Services,
}

/// All routes.
pub(crate) fn router(app: App) -> ApiRouter {
    ParcelBookingApi::router(app)
}

impl ParcelBooking for App {
    async fn book(
        &self,
        call: &Call,
        key: Option<IdempotencyKey>,
        Valid(Json(request)): Valid<Json<BookingRequest>>,
    ) -> Result<(HeaderMap, Created<Booked>), BookingError> {
        let Self { store, services } = self;
        let mut instances = Instances::default();
        let key = key.map_or_else(new_id, |IdempotencyKey(key)| key);
        // Was it asked before? If not: what does it cost, and from here on it is a booking. The price is asked for outside
        // of the transaction, which must not wait for another service.
        let earlier = call.database("SELECT", "bookings", store.find(&key)).await.map_err(Problem::from)?;
        let booking = match earlier {
            Some(booking) => booking,
            None => {
                let quote = services.quote(call, &request, &mut instances).await?;
                call.database("INSERT", "bookings", store.begin(&key, &request, &quote)).await.map_err(Problem::from)?
            }
        };
        if !is_same(&booking, &request) {
            return Err(BookingError::KeyTaken);
        }
        // From here on a failure leaves it pending: the caller may repeat the key, and we finish it in any case.
        complete(call, store, services, &booking, &mut instances).await?;
        let created = Created::at(format!("bookings/{}", booking.booked.id), booking.booked);
        Ok((instances.into_headers(), created))
    }

    async fn bookings(
        &self,
        call: &Call,
        Query(BookingsQuery { cursor }): Query<BookingsQuery>,
    ) -> Result<Json<Page<Booking, u64>>, BookingError> {
        let before = cursor.map_or(u64::MAX, |cursor| *cursor.key());
        let page = call.database("SELECT", "bookings", self.store.page(before)).await.map_err(Problem::from)?;
        Ok(Json(page))
    }

    async fn booking(&self, call: &Call, Path(id): Path<String>) -> Result<Json<Booking>, BookingError> {
        let found = call.database("SELECT", "bookings", self.store.get(&id)).await.map_err(Problem::from)?;
        found.map(Json).ok_or(BookingError::NoBooking)
    }
}

/// Whether a booking was made from this request.
fn is_same(booking: &Booking, request: &BookingRequest) -> bool {
    let Booking { from, to, grams, sender, recipient, .. } = booking;
    let made_from = (from, to, grams, sender, recipient);
    made_from == (&request.from, &request.to, &request.grams, &request.sender, &request.recipient)
}

#[cfg(test)]
mod tests;
