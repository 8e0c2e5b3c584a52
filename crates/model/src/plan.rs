//! What shall run: exact, immutable, numbered.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intent::Workload;
use crate::name::InstanceName;

/// The number of a plan. Receivers refuse what is older than what they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that a runtime shall run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// This plan's number.
    pub generation: Generation,
    /// The number of the plan that it was made from.
    pub parent: Generation,
    /// Whether an edge shall run: always where anything does, so that a stranger without a route gets an answer.
    pub edge: bool,
    /// The workloads that the instances are copies of, ordered by name.
    pub workloads: Vec<Workload>,
    /// Ordered by name. What runs and is not here has left the mesh and is stopped at once.
    pub instances: Vec<PlannedInstance>,
}

/// One instance of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInstance {
    /// Its name.
    pub name: InstanceName,
    /// Position of its workload in [`Plan::workloads`].
    pub workload: usize,
    /// What is wanted of it.
    pub state: InstanceState,
}

/// What is wanted of an instance. A scale-down goes through the states in this order, and a step is taken only when every
/// live proxy has acknowledged the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Run, restart what crashes, and receive traffic when ready.
    Serve,
    /// Run, but no proxy is told of it from generation `since` on.
    Withdraw {
        /// The generation that left it out first.
        since: Generation,
    },
    /// Drain and stop: the sidecar refuses to be kept open, then the app, then the sidecar.
    Stop,
}
