//! The contract of parcel-booking: who sends what to whom.

use axum::http::HeaderMap;
use craterate_common::country::CODES;
use craterate_common::rules;
use craterate_common::text::{MAX_TEXT, TEXT_PATTERN};
use craterate_common::weight::MAX_GRAMS;
use garde::Validate;
use samspill::contract::Created;
use samspill::extract::{IdempotencyKey, Json, Path, Query, Valid};
use samspill::{ApiError, Call, Cursor, Page, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who sends what to whom.
#[samspill::api(name = "parcel-booking", versions = 1..=1)]
pub trait ParcelBooking {
    /// Books a parcel, once per `Idempotency-Key`, whatever breaks on the way.
    #[post("/bookings")]
    async fn book(
        &self,
        call: &Call,
        key: Option<IdempotencyKey>,
        parcel: Valid<Json<BookingRequest>>,
    ) -> Result<(HeaderMap, Created<Booked>), BookingError>;

    /// All bookings, the newest first, a page at a time.
    #[get("/bookings")]
    async fn bookings(
        &self,
        call: &Call,
        query: Query<BookingsQuery>,
    ) -> Result<Json<Page<Booking, u64>>, BookingError>;

    /// A booking as it stands.
    #[get("/bookings/{id}")]
    async fn booking(&self, call: &Call, id: Path<String>) -> Result<Json<Booking>, BookingError>;
}

/// Why parcel-booking refuses.
#[derive(Debug, PartialEq, Eq, ApiError)]
pub enum BookingError {
    /// Nobody has made it.
    #[problem(status = 404, title = "No such booking")]
    NoBooking,
    /// A key is given to one booking only.
    #[problem(
        status = 422,
        title = "The key belongs to another booking",
        field("Idempotency-Key", "was used with another body")
    )]
    KeyTaken,
    /// Anything else.
    #[problem(transparent)]
    Other(Problem),
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// A country code.
    #[garde(custom(rules::country))]
    #[schemars(extend("enum" = CODES))]
    pub from: String,
    /// A country code.
    #[garde(custom(rules::country))]
    #[schemars(extend("enum" = CODES))]
    pub to: String,
    /// The weight.
    #[garde(custom(rules::grams))]
    #[schemars(range(min = 1, max = MAX_GRAMS))]
    pub grams: u32,
    /// A name, on one line.
    #[garde(custom(rules::text))]
    #[schemars(length(min = 1, max = MAX_TEXT), regex(pattern = TEXT_PATTERN))]
    pub sender: String,
    /// A name, on one line.
    #[garde(custom(rules::text))]
    #[schemars(length(min = 1, max = MAX_TEXT), regex(pattern = TEXT_PATTERN))]
    pub recipient: String,
}

/// What came of a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Booked {
    /// The booking's id.
    pub id: String,
    /// The parcel's id in parcel-tracking.
    pub tracking_id: String,
    /// The invoice's id in invoicing.
    pub invoice_id: String,
    /// The price in hundredths of `currency`.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
}

/// A booking as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Booking {
    /// What the booking was answered with.
    #[serde(flatten)]
    pub booked: Booked,
    /// Whether parcel and invoice are known to exist.
    pub status: Status,
    /// A country code.
    pub from: String,
    /// A country code.
    pub to: String,
    /// The weight.
    pub grams: u32,
    /// A name.
    pub sender: String,
    /// A name.
    pub recipient: String,
    /// UTC, RFC 3339.
    pub created_at: String,
}

/// How far a booking is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Accepted; its parcel or its invoice may not exist yet, and will.
    Pending,
    /// Its parcel and its invoice exist.
    Confirmed,
}

/// Which page of the bookings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookingsQuery {
    /// The `next` of the page before; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<ParcelBookingApi>(env!("CARGO_MANIFEST_DIR"));
    }
}
