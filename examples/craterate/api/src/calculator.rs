//! shipping-cost-calculator: what a parcel costs.

use serde::{Deserialize, Serialize};

/// `GET /v1/quote?to=SE&weight_kg=2.5`: from Norway, in kilograms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteQuery {
    /// A country code.
    pub to: String,
    /// A decimal number.
    pub weight_kg: String,
}

/// The answer of version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteV1 {
    /// A decimal number of `currency`, with two digits after the point.
    pub price: String,
    /// ISO 4217.
    pub currency: String,
}

/// `POST /v2/quotes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// A country code.
    pub from: String,
    /// A country code.
    pub to: String,
    /// 1 to 31,500.
    pub grams: u32,
}

/// The answer of version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The price in hundredths of `currency`.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
    /// How long the price holds.
    pub valid_seconds: u32,
}
