//! The API: version 2, and version 1 as the difference to it.

use craterate_common::CURRENCY;
use craterate_common::country::Country;
use samspill::contract::ApiRouter;
use samspill::extract::{Json, Query, Valid};
use samspill::{Call, Problem};
use shipping_cost_calculator_api::{Quote, QuoteRequest, ShippingCost, ShippingCostApi, v1};

use crate::pricing::price_cents;

/// How long a price holds: as long as people take to fill in a form.
const VALID_SECONDS: u32 = 900;

/// All routes.
pub(crate) fn router() -> ApiRouter {
    ShippingCostApi::router(Calculator)
}

struct Calculator;

impl ShippingCost for Calculator {
    async fn quote(
        &self,
        _call: &Call,
        Valid(Json(parcel)): Valid<Json<QuoteRequest>>,
    ) -> Result<Json<Quote>, Problem> {
        let country = |code: &str| code.parse::<Country>().map_err(|error| Problem::internal(&error));
        let cents = price_cents(country(&parcel.from)?, country(&parcel.to)?, parcel.grams);
        Ok(Json(Quote { cents, currency: CURRENCY.to_owned(), valid_seconds: VALID_SECONDS }))
    }

    async fn quote_v1(
        &self,
        call: &Call,
        Valid(Query(parcel)): Valid<Query<v1::QuoteQuery>>,
    ) -> Result<Json<v1::Quote>, Problem> {
        let parcel = QuoteRequest::try_from(parcel).map_err(|error| Problem::internal(&error))?;
        let Json(quote) = self.quote(call, Valid::check(Json(parcel))?).await?;
        Ok(Json(quote.into()))
    }
}

#[cfg(test)]
mod tests;
