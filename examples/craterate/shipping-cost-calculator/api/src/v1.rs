//! Version 1: parcels from Norway, in kilograms, and prices as people write them.

use craterate_common::country::{CODES, HOME};
use craterate_common::weight::{Kilograms, ParseWeightError};
use craterate_common::{decimal, rules};
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::QuoteRequest;

/// A parcel from Norway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct QuoteQuery {
    /// A country code.
    #[garde(custom(rules::country))]
    #[schemars(extend("enum" = CODES))]
    pub to: String,
    /// Kilograms, from 0.001 to 31.5.
    #[garde(custom(rules::kilograms))]
    #[schemars(regex(pattern = r"^\s*[0-9]{1,6}([.,][0-9]{1,3})?\s*$"), example = "2.5")]
    pub weight_kg: String,
}

/// A price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// A decimal number of `currency`, with two digits after the point.
    pub price: String,
    /// ISO 4217.
    pub currency: String,
}

impl TryFrom<QuoteQuery> for QuoteRequest {
    type Error = ParseWeightError;

    fn try_from(QuoteQuery { to, weight_kg }: QuoteQuery) -> Result<Self, ParseWeightError> {
        let Kilograms { grams } = weight_kg.parse()?;
        Ok(Self { from: HOME.code.to_owned(), to, grams })
    }
}

impl From<crate::Quote> for Quote {
    fn from(crate::Quote { cents, currency, .. }: crate::Quote) -> Self {
        Self { price: decimal(cents), currency }
    }
}
