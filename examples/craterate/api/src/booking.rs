//! parcel-booking: who sends what to whom.

use samspill::Problem;
use serde::{Deserialize, Serialize};

use crate::country::Country;
use crate::mistakes::{Mistakes, check_text};
use crate::weight;

/// `POST /v1/bookings`, with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// A country code.
    pub from: String,
    /// A country code.
    pub to: String,
    /// 1 to 31,500.
    pub grams: u32,
    /// A name.
    pub sender: String,
    /// A name.
    pub recipient: String,
}

impl BookingRequest {
    /// Whether this can be booked.
    ///
    /// # Errors
    /// A 422 that names every wrong field.
    pub fn check(&self) -> Result<(), Problem> {
        let mut mistakes = Mistakes::new();
        mistakes.note("from", self.from.parse::<Country>());
        mistakes.note("to", self.to.parse::<Country>());
        mistakes.note("grams", weight::check(self.grams));
        mistakes.note("sender", check_text(&self.sender));
        mistakes.note("recipient", check_text(&self.recipient));
        mistakes.none()
    }
}

/// The answer to a booking, 201.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// `GET /v1/bookings/{id}`, and an item of `GET /v1/bookings?cursor=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Accepted; its parcel or its invoice may not exist yet, and will.
    Pending,
    /// Its parcel and its invoice exist.
    Confirmed,
}

/// The query of `GET /v1/bookings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingsQuery {
    /// The `next` of the page before; none for the first page.
    pub cursor: Option<String>,
}
