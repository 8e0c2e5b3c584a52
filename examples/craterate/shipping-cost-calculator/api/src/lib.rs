//! The contract of shipping-cost-calculator: what a parcel costs.
//!
//! The types here are the newest; an older version's are in a module of its own, with the way to the newest and back.

pub mod v1;

use craterate_common::country::CODES;
use craterate_common::rules;
use craterate_common::weight::MAX_GRAMS;
use garde::Validate;
use samspill::extract::{Json, Query, Valid};
use samspill::{Call, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a parcel costs. There is one rule for prices, behind every version.
#[samspill::api(
    name = "shipping-cost-calculator",
    versions = 1..=2,
    deprecated(v1, since = "2026-11-01", sunset = "2027-05-01"),
)]
pub trait ShippingCost {
    /// The price of a parcel from Norway.
    ///
    /// Version 2 takes parcels from anywhere, counts in grams, and answers in minor units.
    #[get("/quote", until = 1)]
    async fn quote_v1(&self, call: &Call, parcel: Valid<Query<v1::QuoteQuery>>) -> Result<Json<v1::Quote>, Problem>;

    /// The price of a parcel, and how long it holds.
    #[post("/quotes", since = 2)]
    async fn quote(&self, call: &Call, parcel: Valid<Json<QuoteRequest>>) -> Result<Json<Quote>, Problem>;
}

/// A parcel that is to be priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
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
}

/// A price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The price in hundredths of `currency`.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
    /// How long the price holds.
    pub valid_seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<ShippingCostApi>(env!("CARGO_MANIFEST_DIR"));
    }
}
