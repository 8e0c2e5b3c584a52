//! The API for the public: JSON over HTTP.

use parcel_tracking_api::{Event, EventRequest, Parcel, ParcelTracking, ParcelTrackingApi, TrackingError};
use samspill::contract::{ApiRouter, Created};
use samspill::extract::{Json, Path, Valid};
use samspill::{Call, Problem};

use crate::store::{Append, Store};

/// All routes.
pub(crate) fn router(store: Store) -> ApiRouter {
    ParcelTrackingApi::router(App { store })
}

struct App {
    store: Store,
}

impl ParcelTracking for App {
    async fn parcel(&self, call: &Call, Path(id): Path<String>) -> Result<Json<Parcel>, TrackingError> {
        let found = call.database("SELECT", "parcels", self.store.get(&id)).await.map_err(Problem::from)?;
        found.map(Json).ok_or(TrackingError::NoParcel)
    }

    async fn append(
        &self,
        call: &Call,
        Path(id): Path<String>,
        Valid(Json(EventRequest { kind, place })): Valid<Json<EventRequest>>,
    ) -> Result<Created<Event>, TrackingError> {
        let appended = call.database("INSERT", "events", self.store.append(&id, kind, &place)).await;
        match appended.map_err(Problem::from)? {
            Append::Added(event) => Ok(Created::at(format!("events/{}", event.sequence), event)),
            Append::NoParcel => Err(TrackingError::NoParcel),
            Append::Delivered => Err(TrackingError::Delivered),
        }
    }
}

#[cfg(test)]
mod tests;
