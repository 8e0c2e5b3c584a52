//! The contract of parcel-tracking: where parcels are. JSON for the public, on port `http`; gRPC inside ([`v1`]), on port `grpc`.

use craterate_common::rules;
use craterate_common::text::{MAX_TEXT, TEXT_PATTERN};
use garde::Validate;
use samspill::contract::Created;
use samspill::extract::{Json, Path, Valid};
use samspill::{ApiError, Call, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where parcels are.
#[samspill::api(name = "parcel-tracking", versions = 1..=1)]
pub trait ParcelTracking {
    /// A parcel, and what has happened to it.
    #[get("/parcels/{id}")]
    async fn parcel(&self, call: &Call, id: Path<String>) -> Result<Json<Parcel>, TrackingError>;

    /// Notes that something has happened to a parcel.
    #[post("/parcels/{id}/events")]
    async fn append(
        &self,
        call: &Call,
        id: Path<String>,
        event: Valid<Json<EventRequest>>,
    ) -> Result<Created<Event>, TrackingError>;
}

/// Why parcel-tracking refuses, over HTTP and over gRPC.
#[derive(Debug, PartialEq, Eq, ApiError)]
pub enum TrackingError {
    /// Nobody has registered it.
    #[problem(status = 404, title = "No such parcel")]
    NoParcel,
    /// An id is given to one parcel only.
    #[problem(
        status = 409,
        grpc_code = AlreadyExists,
        title = "Another parcel has this id",
        field("id", "belongs to a parcel of another route or weight")
    )]
    IdTaken,
    /// It is where it should be.
    #[problem(
        status = 409,
        grpc_code = FailedPrecondition,
        title = "The parcel was delivered",
        detail = "Nothing can happen to it any more."
    )]
    Delivered,
    /// Anything else.
    #[problem(transparent)]
    Other(Problem),
}

/// `craterate.tracking.v1`, generated from `proto/`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("craterate.tracking.v1");
}

/// What `proto/` says, for reflection: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What can happen to a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// The carrier has it.
    PickedUp,
    /// It passed a place on its way.
    InTransit,
    /// The recipient has it. Nothing can happen to it any more.
    Delivered,
}

impl EventType {
    /// Every type, in the order in which they usually happen.
    pub const ALL: [Self; 3] = [Self::PickedUp, Self::InTransit, Self::Delivered];

    /// Its name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::PickedUp => "picked-up",
            Self::InTransit => "in-transit",
            Self::Delivered => "delivered",
        }
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl From<EventType> for v1::EventType {
    fn from(kind: EventType) -> Self {
        match kind {
            EventType::PickedUp => Self::PickedUp,
            EventType::InTransit => Self::InTransit,
            EventType::Delivered => Self::Delivered,
        }
    }
}

/// Something to be noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// What happened.
    #[serde(rename = "type")]
    #[garde(skip)]
    pub kind: EventType,
    /// Where, on one line.
    #[garde(custom(rules::text))]
    #[schemars(length(min = 1, max = MAX_TEXT), regex(pattern = TEXT_PATTERN))]
    pub place: String,
}

/// Something that happened to a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// 1, 2, 3, … within its parcel, without gaps.
    pub sequence: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Where.
    pub place: String,
    /// UTC, RFC 3339.
    pub at: String,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parcel {
    /// The parcel's id.
    pub id: String,
    /// A country code.
    pub from: String,
    /// A country code.
    pub to: String,
    /// The weight.
    pub grams: u32,
    /// The type of the last event, or `registered`.
    pub status: String,
    /// In the order of their sequence numbers.
    pub events: Vec<Event>,
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            sequence: event.sequence,
            r#type: v1::EventType::from(event.kind).into(),
            place: event.place,
            at: event.at,
        }
    }
}

impl From<Parcel> for v1::Parcel {
    fn from(parcel: Parcel) -> Self {
        Self {
            id: parcel.id,
            from: parcel.from,
            to: parcel.to,
            grams: parcel.grams,
            events: parcel.events.into_iter().map(v1::Event::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EventType::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<ParcelTrackingApi>(env!("CARGO_MANIFEST_DIR"));
    }
}
