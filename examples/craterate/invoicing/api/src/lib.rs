//! The contract of invoicing: what is owed and what is paid.

use craterate_common::text::ID_PATTERN;
use craterate_common::{CURRENCY, rules};
use garde::Validate;
use samspill::contract::Created;
use samspill::extract::{IdempotencyKey, Json, Path, Valid};
use samspill::{ApiError, Call, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is owed and what is paid.
#[samspill::api(name = "invoicing", versions = 1..=1)]
pub trait Invoicing {
    /// Makes an invoice, once per id.
    #[post("/invoices")]
    async fn create(
        &self,
        call: &Call,
        invoice: Valid<Json<InvoiceRequest>>,
    ) -> Result<Created<Invoice>, InvoicingError>;

    /// An invoice as it stands.
    #[get("/invoices/{id}")]
    async fn invoice(&self, call: &Call, id: Path<String>) -> Result<Json<Invoice>, InvoicingError>;

    /// Pays a part of an invoice or all of it, with an `Idempotency-Key` where a repeat must not pay twice.
    #[post("/invoices/{id}/payments")]
    async fn pay(
        &self,
        call: &Call,
        id: Path<String>,
        key: Option<IdempotencyKey>,
        payment: Valid<Json<PaymentRequest>>,
    ) -> Result<Created<Payment>, InvoicingError>;
}

/// Why invoicing refuses.
#[derive(Debug, PartialEq, Eq, ApiError)]
pub enum InvoicingError {
    /// Nobody has made it, or not yet.
    #[problem(status = 404, title = "No such invoice")]
    NoInvoice,
    /// An id is given to one invoice only.
    #[problem(
        status = 409,
        title = "Another invoice has this id",
        field("id", "belongs to an invoice of another booking or amount")
    )]
    IdTaken,
    /// An invoice cannot be paid twice.
    #[problem(
        status = 422,
        title = "More than what is left to pay",
        field("cents", "must be at most {outstanding_cents}")
    )]
    TooMuch {
        /// What is left to pay.
        outstanding_cents: u64,
    },
    /// A key is given to one payment only.
    #[problem(
        status = 422,
        title = "The key belongs to another payment",
        field("Idempotency-Key", "was used for another invoice or amount")
    )]
    KeyTaken,
    /// Anything else.
    #[problem(transparent)]
    Other(Problem),
}

/// The largest amount: ten thousand million kroner, so that sums stay far from the end of an integer.
pub const MAX_CENTS: u64 = 1_000_000_000_000;

/// What is to be paid, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct InvoiceRequest {
    /// Chosen by the caller, which can therefore repeat the call; made by the service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(rules::id)))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub id: Option<String>,
    /// What is to be paid for.
    #[garde(custom(rules::id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub booking_id: String,
    /// The amount in hundredths of `currency`.
    #[garde(custom(allowed_cents))]
    #[schemars(range(min = 1, max = MAX_CENTS))]
    pub cents: u64,
    /// ISO 4217.
    #[garde(custom(allowed_currency))]
    #[schemars(extend("enum" = [CURRENCY]))]
    pub currency: String,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invoice {
    /// The invoice's id.
    pub id: String,
    /// What is to be paid for.
    pub booking_id: String,
    /// What was to be paid in all.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
    /// What has been paid.
    pub paid_cents: u64,
    /// Whether anything is left to pay.
    pub status: Status,
    /// UTC, RFC 3339.
    pub created_at: String,
}

/// Whether an invoice is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Something is left to pay.
    Open,
    /// Nothing is.
    Paid,
}

/// A payment to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    /// Up to what is left to pay, in hundredths of the invoice's currency.
    #[garde(custom(allowed_cents))]
    #[schemars(range(min = 1, max = MAX_CENTS))]
    pub cents: u64,
}

/// A payment that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// The payment's id.
    pub id: String,
    /// What it was paid for.
    pub invoice_id: String,
    /// How much it was.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
    /// What is left to pay now.
    pub outstanding_cents: u64,
}

fn allowed_cents(cents: &u64, _context: &()) -> garde::Result {
    let fits = (1..=MAX_CENTS).contains(cents);
    if fits { Ok(()) } else { Err(garde::Error::new(format!("must be 1 to {MAX_CENTS}"))) }
}

fn allowed_currency(currency: &str, _context: &()) -> garde::Result {
    if currency == CURRENCY { Ok(()) } else { Err(garde::Error::new(format!("must be {CURRENCY}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<InvoicingApi>(env!("CARGO_MANIFEST_DIR"));
    }
}
