//! The API for the public: JSON over HTTP.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use craterate_api::mistakes::{Mistakes, check_text};
use craterate_api::tracking::{Event, EventRequest, Parcel};
use samspill::extract::{Json, Path};
use samspill::{Call, Problem};
use tonic::Code;

use crate::store::{Append, Store};

/// All routes.
pub(crate) fn router(store: Store) -> Router {
    Router::new().route("/v1/parcels/{id}", get(show)).route("/v1/parcels/{id}/events", post(append)).with_state(store)
}

async fn show(call: Call, State(store): State<Store>, Path(id): Path<String>) -> Result<Json<Parcel>, Problem> {
    call.database("SELECT", "parcels", store.get(&id)).await?.map(Json).ok_or_else(no_parcel)
}

async fn append(
    call: Call,
    State(store): State<Store>,
    Path(id): Path<String>,
    Json(EventRequest { kind, place }): Json<EventRequest>,
) -> Result<(StatusCode, Json<Event>), Problem> {
    let mut mistakes = Mistakes::new();
    mistakes.note("place", check_text(&place));
    mistakes.none()?;
    match call.database("INSERT", "events", store.append(&id, kind, &place)).await? {
        Append::Added(event) => Ok((StatusCode::CREATED, Json(event))),
        Append::NoParcel => Err(no_parcel()),
        Append::Delivered => Err(delivered()),
    }
}

pub(crate) fn no_parcel() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No such parcel").kind("urn:parcel-tracking:unknown-parcel")
}

pub(crate) fn delivered() -> Problem {
    Problem::new(StatusCode::CONFLICT, "The parcel was delivered")
        .kind("urn:parcel-tracking:parcel-delivered")
        .detail("Nothing can happen to it any more.")
        .grpc_code(Code::FailedPrecondition)
}

#[cfg(test)]
mod tests;
