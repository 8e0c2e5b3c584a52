//! The resource types of the profile.

/// A resource type. The order is that of a push: make before break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// What a backend speaks and who it is.
    Cluster,
    /// Its endpoints (`ClusterLoadAssignment`).
    Endpoints,
    /// That a service exists.
    Listener,
    /// Where calls to it go (`RouteConfiguration`).
    Routes,
    /// What a sidecar does with calls to its instance.
    Inbound,
}

impl Kind {
    /// The order of what is new or changed.
    pub(crate) const UPSERTS: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Routes, Self::Inbound];

    /// The order of what is gone. The last two wait until the routes without them are acknowledged.
    pub(crate) const REMOVALS: [Self; 5] =
        [Self::Listener, Self::Routes, Self::Inbound, Self::Cluster, Self::Endpoints];

    pub(crate) fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Inbound => "type.googleapis.com/samspill.v1.Inbound",
        }
    }

    pub(crate) fn from_type_url(type_url: &str) -> Option<Self> {
        Self::UPSERTS.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// Whether "all of this type" can be asked for, as Envoy does.
    pub(crate) fn has_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}
