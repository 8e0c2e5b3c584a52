//! statistics: how much happens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `POST /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
}

/// What is counted. A closed list, or strangers could make up types without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// `GET /v1/counts`: every type with its count, `{"order-attempt":12}`.
pub type Counts = BTreeMap<EventType, u64>;

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
}
