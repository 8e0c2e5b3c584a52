//! invoicing: what is owed and what is paid.

use serde::{Deserialize, Serialize};

/// `POST /v1/invoices`. Idempotent on `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvoiceRequest {
    /// Chosen by the caller, which can therefore repeat the call; made by the service where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is to be paid for.
    pub booking_id: String,
    /// At least 1, in hundredths of `currency`.
    pub cents: u64,
    /// `NOK`.
    pub currency: String,
}

/// An invoice as it stands: the answer to `POST /v1/invoices` and `GET /v1/invoices/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Something is left to pay.
    Open,
    /// Nothing is.
    Paid,
}

/// `POST /v1/invoices/{id}/payments`, with an `Idempotency-Key` where a repeat must not pay twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    /// 1 up to what is left to pay, in hundredths of the invoice's currency.
    pub cents: u64,
}

/// The answer to a payment, 201.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
