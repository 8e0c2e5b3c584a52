//! The wall clock. Only times that leave the process (certificates, spans, logs) come from here; everything that waits
//! uses `tokio::time`.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Nanoseconds since 1970 began in UTC, as OpenTelemetry counts; 0 for a clock that is set before.
pub fn unix_nanos() -> u64 {
    let since_epoch = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
