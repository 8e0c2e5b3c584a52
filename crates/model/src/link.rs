//! What the runtime and the controller say to each other: one JSON object per line over an inherited Unix socket.
//!
//! Both directions are level-triggered: an [`Inventory`] or a [`Plan`] is whole, and the newest replaces all before it.

use serde::{Deserialize, Serialize};

use crate::intent::Intent;
use crate::inventory::Inventory;
use crate::plan::Plan;

/// What the runtime says. The first message is always an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToController {
    /// What runs now; said at the start and at each change.
    Inventory(Inventory),
    /// What the files say now: makes them win over everything said before, `scale` included.
    Apply(Box<Intent>),
}

/// What the controller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToRuntime {
    /// What shall run. Refuse it if its generation is older than the newest seen.
    Plan(Plan),
    /// The answer to [`ToController::Apply`], sent when the intent is durable: one sentence per change.
    Applied(Vec<String>),
}
