//! The contract of statistics: how much happens.

use std::collections::BTreeMap;

use samspill::contract::{Accepted, ApiFailure, Conformance};
use samspill::extract::Json;
use samspill::{Call, CallError, Client, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much happens.
#[samspill::api(name = "statistics", versions = 1..=1)]
pub trait Statistics {
    /// Counts that something happened.
    #[post("/events")]
    async fn record(&self, call: &Call, event: Json<EventRequest>) -> Result<Accepted, Problem>;

    /// How often each thing has happened: every type with its count, which may be 0.
    #[get("/counts")]
    async fn counts(&self, call: &Call) -> Result<Json<Counts>, Problem>;
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
}

/// What is counted. A closed list, or strangers could make up types without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// Somebody booked, or tried to.
    OrderAttempt,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 1] = [Self::OrderAttempt];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderAttempt => "order-attempt",
        }
    }
}

/// Every type with its count, `{"order-attempt":12}`.
pub type Counts = BTreeMap<EventType, u64>;

/// How often the suite records each type.
const RECORDED: u64 = 3;

/// Tries the contract on what serves at a base URL, in whatever language it is written: each operation against its document,
/// and what they mean together. It records events, so nobody else may while it runs.
pub async fn conformance(base_url: &str) -> Conformance {
    let statistics = StatisticsClient::from(Client::at(base_url));
    let suite = StatisticsApi::conformance(base_url).await;
    suite.check("what was recorded is counted, and nothing else is", recorded_is_counted(&statistics)).await
}

async fn recorded_is_counted(statistics: &StatisticsClient) -> Result<(), String> {
    let call = samspill::test::call();
    let told = |failure: ApiFailure<Problem>| CallError::from(failure).to_string();
    let before = statistics.counts(&call).await.map_err(told)?;
    for kind in EventType::ALL {
        for _ in 0..RECORDED {
            statistics.record(&call, EventRequest { kind }).await.map_err(told)?;
        }
    }
    let after = statistics.counts(&call).await.map_err(told)?;
    let count = |kind| before.get(&kind).copied().unwrap_or_default();
    let expected: Counts = EventType::ALL.into_iter().map(|kind| (kind, count(kind) + RECORDED)).collect();
    if after == expected { Ok(()) } else { Err(format!("it counts {after:?}, not {expected:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(
            serde_json::to_string(&Counts::from([(EventType::OrderAttempt, 12)])).unwrap(),
            r#"{"order-attempt":12}"#
        );
    }

    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<StatisticsApi>(env!("CARGO_MANIFEST_DIR"));
    }
}
