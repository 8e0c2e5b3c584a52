//! The API.

use samspill::contract::{Accepted, ApiRouter};
use samspill::extract::Json;
use samspill::{Call, Problem};
use statistics_api::{Counts, EventRequest, Statistics, StatisticsApi};

use crate::store::Store;

/// All routes.
pub(crate) fn router(store: Store) -> ApiRouter {
    StatisticsApi::router(App { store })
}

struct App {
    store: Store,
}

impl Statistics for App {
    async fn record(&self, call: &Call, Json(event): Json<EventRequest>) -> Result<Accepted, Problem> {
        call.database("INSERT", "counts", self.store.count(event.kind)).await?;
        Ok(Accepted)
    }

    async fn counts(&self, call: &Call) -> Result<Json<Counts>, Problem> {
        Ok(Json(call.database("SELECT", "counts", self.store.counts()).await?))
    }
}

#[cfg(test)]
mod tests;
