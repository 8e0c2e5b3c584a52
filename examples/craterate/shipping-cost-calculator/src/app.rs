//! The two versions of the API.

use axum::Router;
use axum::routing::{get, post};
use craterate_api::calculator::{Quote, QuoteQuery, QuoteRequest, QuoteV1};
use craterate_api::country::{Country, HOME};
use craterate_api::mistakes::Mistakes;
use craterate_api::weight::{self, Kilograms};
use craterate_api::{CURRENCY, decimal};
use samspill::Problem;
use samspill::extract::{Json, Query};

use crate::pricing::price_cents;

/// How long a price holds: as long as people take to fill in a form.
const VALID_SECONDS: u32 = 900;

/// All routes.
pub(crate) fn router() -> Router {
    Router::new().route("/v1/quote", get(quote_v1)).route("/v2/quotes", post(quote_v2))
}

/// Version 1 knows parcels from home only, and kilograms.
async fn quote_v1(Query(query): Query<QuoteQuery>) -> Result<Json<QuoteV1>, Problem> {
    let mut mistakes = Mistakes::new();
    let to = mistakes.note("to", query.to.parse::<Country>());
    let weight = mistakes.note("weight_kg", query.weight_kg.parse::<Kilograms>());
    let (Some(to), Some(weight)) = (to, weight) else { return Err(mistakes.into()) };
    let price = decimal(price_cents(HOME, to, weight.grams));
    Ok(Json(QuoteV1 { price, currency: CURRENCY.to_owned() }))
}

async fn quote_v2(Json(request): Json<QuoteRequest>) -> Result<Json<Quote>, Problem> {
    let mut mistakes = Mistakes::new();
    let from = mistakes.note("from", request.from.parse::<Country>());
    let to = mistakes.note("to", request.to.parse::<Country>());
    let weight = mistakes.note("grams", weight::check(request.grams));
    let (Some(from), Some(to), Some(())) = (from, to, weight) else { return Err(mistakes.into()) };
    let cents = price_cents(from, to, request.grams);
    Ok(Json(Quote { cents, currency: CURRENCY.to_owned(), valid_seconds: VALID_SECONDS }))
}

#[cfg(test)]
mod tests;
