//! One difference between two documents.

use crate::Rule;

/// One difference that a document's reader could notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of difference it is.
    pub rule: Rule,
    /// Who notices.
    pub effect: Effect,
    /// Where: a JSON pointer (`#/paths/~1v2~1quotes/post`), or a full protobuf name (`shop.v1.Parcel.grams`).
    ///
    /// It points into the newer document; where something is gone, into the older one.
    pub pointer: String,
    /// Where, for people: the steps from the operation to the place.
    pub steps: Vec<String>,
    /// What the older document says, where it says something.
    pub was: Option<String>,
    /// What the newer document says, where it says something.
    pub is: Option<String>,
}

impl Change {
    /// Where, for people: `POST /v2/quotes → request body → grams`.
    #[must_use]
    pub fn place(&self) -> String {
        self.steps.join(" → ")
    }

    /// Whether a version that others rely on may change like this.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.rule.is_allowed()
    }
}

/// Who notices a change. *Caller* and *service* are built from different documents: that is the rule, not the exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Callers of the old document break with a service of the new one, and callers of the new one with a service of the old one.
    Breaking,
    /// A service of the old document satisfies callers of the new one. Callers of the old one break with a new service.
    CompatibleForService,
    /// Callers of the old document go on with a service of the new one. Callers of the new one break with an old service.
    CompatibleForCallers,
    /// Nothing on the wire is different.
    Documentation,
}

impl Effect {
    /// Each effect, the worst first.
    pub const ALL: [Self; 4] =
        [Self::Breaking, Self::CompatibleForService, Self::CompatibleForCallers, Self::Documentation];

    /// Its name in tables and JSON. It does not change.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::CompatibleForService => "compatible-for-the-service",
            Self::CompatibleForCallers => "compatible-for-callers",
            Self::Documentation => "documentation",
        }
    }
}
