//! How much, and for how long, one connection may ask of a service. In one place, because they stand in relation.

use std::time::Duration;

use samspill_net::gate::Limits;

/// The first byte and a request's head: 10 s for a connection's first byte, 10 s from a head's first byte to its last (408),
/// 64 KiB for the head (414, 431), 100 headers (431). hyper and h2 have the same.
pub(super) fn head() -> Limits {
    Limits::default()
}

/// How long a body may say nothing while a handler waits for it; then it is a 408. As long as gRPC's and most clients'
/// own patience; a body that is streamed on purpose with longer pauses belongs into gRPC, which this does not concern.
pub(super) const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How fast a body must come on average, in bytes for each second in which a handler waits for it; slower is a 408. The
/// first [`BODY_IDLE_TIMEOUT`] is free. A modem is faster; who drips one byte in 29 s is not.
pub(super) const BODY_BYTES_PER_SECOND: u64 = 1024;

/// How long a connection may wait for its next request. More than a minute, so that it is the other side that closes:
/// sidecars do after 4 s, nginx and the load balancers of clouds after 60 s.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How often that is looked after meanwhile: a connection ends a fifth later at most.
pub(super) const IDLE_CHECKS: u32 = 5;

/// How often an HTTP/2 connection is tried, and how long the answer may take.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(30);
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at once on one HTTP/2 connection: a sidecar has one connection for all its callers.
pub(super) const MAX_STREAMS: u32 = 1024;

/// How long a connection without a request may still send one after the drain has started: those that the kernel had let
/// in before.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);

/// How long a drain may take: five seconds less than Kubernetes' `terminationGracePeriodSeconds`, which is 30 unless set.
pub(super) const DRAIN_DEADLINE: Duration = Duration::from_secs(25);
