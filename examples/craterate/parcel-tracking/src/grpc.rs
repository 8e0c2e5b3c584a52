//! The API inside of the mesh: `craterate.tracking.v1.Tracking`.

use std::collections::VecDeque;
use std::pin::Pin;

use axum::http::StatusCode;
use craterate_common::country::Country;
use craterate_common::instance::INSTANCE_NAME;
use craterate_common::mistakes::Mistakes;
use craterate_common::text::{check_id, check_text};
use craterate_common::weight;
use futures_util::stream::{Stream, try_unfold};
use parcel_tracking_api::v1::tracking_server::Tracking;
use parcel_tracking_api::v1::{
    AppendRequest, CreateRequest, Event, EventType as WireEventType, GetRequest, Parcel, WatchRequest,
};
use parcel_tracking_api::{EventType, TrackingError};
use samspill::{Call, Problem};
use tokio::sync::watch;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Response, Status};

use crate::feed::Feed;
use crate::store::{Append, Create, NewParcel, Store};

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    store: Store,
    feed: Feed,
    instance: Option<AsciiMetadataValue>,
}

impl Server {
    pub(crate) fn new(store: Store, feed: Feed, instance: Option<&str>) -> Self {
        Self { store, feed, instance: instance.and_then(|instance| instance.parse().ok()) }
    }

    /// An answer that names this instance.
    fn answer<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        if let Some(instance) = &self.instance {
            response.metadata_mut().insert(INSTANCE_NAME, instance.clone());
        }
        response
    }
}

#[tonic::async_trait]
impl Tracking for Server {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<Parcel>, Status> {
        let call = Call::from_request(&request);
        let new = check(request.into_inner())?;
        match call.database("INSERT", "parcels", self.store.create(&new)).await.map_err(Problem::from)? {
            Create::Made(parcel) => Ok(self.answer(parcel.into())),
            Create::IdTaken => Err(TrackingError::IdTaken.into()),
        }
    }

    async fn append(&self, request: Request<AppendRequest>) -> Result<Response<Event>, Status> {
        let call = Call::from_request(&request);
        let AppendRequest { id, r#type, place } = request.into_inner();
        let mut mistakes = Mistakes::new();
        let kind = mistakes.note("type", event_type(r#type));
        let place = mistakes.note("place", check_text(&place).map(|()| place));
        let (Some(kind), Some(place)) = (kind, place) else { return Err(Problem::from(mistakes).into()) };
        let appended = call.database("INSERT", "events", self.store.append(&id, kind, &place)).await;
        match appended.map_err(Problem::from)? {
            Append::Added(event) => Ok(self.answer(event.into())),
            Append::NoParcel => Err(TrackingError::NoParcel.into()),
            Append::Delivered => Err(TrackingError::Delivered.into()),
        }
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Parcel>, Status> {
        let call = Call::from_request(&request);
        let id = request.into_inner().id;
        let parcel = call.database("SELECT", "parcels", self.store.get(&id)).await.map_err(Problem::from)?;
        parcel.map(|parcel| self.answer(parcel.into())).ok_or_else(|| TrackingError::NoParcel.into())
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let call = Call::from_request(&request);
        let WatchRequest { id, after_sequence } = request.into_inner();
        let parcel = call.database("SELECT", "parcels", self.store.get(&id)).await.map_err(Problem::from)?;
        let parcel = parcel.ok_or(TrackingError::NoParcel)?;
        let is_over = parcel.status == EventType::Delivered.name();
        let unseen = parcel.events.into_iter().filter(|event| event.sequence > after_sequence).collect();
        let (store, changes) = (self.store.clone(), self.feed.subscribe());
        let watcher = Watcher { store, changes, call, id, after_sequence, unseen, is_over };
        Ok(self.answer(Box::pin(try_unfold(watcher, Watcher::next))))
    }
}

/// One caller's place in one parcel's story.
struct Watcher {
    store: Store,
    changes: watch::Receiver<i64>,
    call: Call,
    id: String,
    /// The last sequence number that the caller has seen.
    after_sequence: u64,
    /// Read from the database, and not yet sent.
    unseen: VecDeque<parcel_tracking_api::Event>,
    /// Nothing follows what is unseen.
    is_over: bool,
}

impl Watcher {
    /// The next event, as soon as there is one.
    async fn next(mut self) -> Result<Option<(Event, Self)>, Status> {
        loop {
            if let Some(event) = self.unseen.pop_front() {
                self.after_sequence = event.sequence;
                return Ok(Some((event.into(), self)));
            }
            if self.is_over {
                return Ok(None);
            }
            let events = self.store.events_after(&self.id, self.after_sequence).await.map_err(Problem::from)?;
            self.is_over = events.iter().any(|event| event.kind == EventType::Delivered);
            self.unseen = events.into();
            if !self.unseen.is_empty() {
                continue;
            }
            // Marks the change as seen before the next question, so one that comes after its answer is a change again.
            tokio::select! {
                Ok(()) = self.changes.changed() => {}
                () = self.call.draining() => return Err(stopping().into()),
            }
        }
    }
}

fn check(request: CreateRequest) -> Result<NewParcel, Problem> {
    let CreateRequest { id, from, to, grams } = request;
    let mut mistakes = Mistakes::new();
    mistakes.note("id", check_id(&id));
    mistakes.note("from", from.parse::<Country>());
    mistakes.note("to", to.parse::<Country>());
    mistakes.note("grams", weight::check(grams));
    mistakes.none()?;
    Ok(NewParcel { id, from, to, grams })
}

fn event_type(wire: i32) -> Result<EventType, &'static str> {
    match WireEventType::try_from(wire) {
        Ok(WireEventType::PickedUp) => Ok(EventType::PickedUp),
        Ok(WireEventType::InTransit) => Ok(EventType::InTransit),
        Ok(WireEventType::Delivered) => Ok(EventType::Delivered),
        Ok(WireEventType::Unspecified) | Err(_) => Err("must be picked up, in transit or delivered"),
    }
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "This instance stops").detail("Watch again.")
}

#[cfg(test)]
mod tests;
