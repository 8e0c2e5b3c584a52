//! The API.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use craterate_api::statistics::{Counts, EventRequest};
use samspill::extract::Json;
use samspill::{Call, Problem};

use crate::store::Store;

/// All routes.
pub(crate) fn router(store: Store) -> Router {
    Router::new().route("/v1/events", post(count)).route("/v1/counts", get(counts)).with_state(store)
}

async fn count(call: Call, State(store): State<Store>, Json(event): Json<EventRequest>) -> Result<StatusCode, Problem> {
    call.database("INSERT", "counts", store.count(event.kind)).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn counts(call: Call, State(store): State<Store>) -> Result<Json<Counts>, Problem> {
    Ok(Json(call.database("SELECT", "counts", store.counts()).await?))
}

#[cfg(test)]
mod tests;
