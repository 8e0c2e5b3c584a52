//! What tests share. A dev-dependency only: nothing here may be linked into what we ship.

#![warn(missing_docs)]

mod database;
mod postgres;

use std::time::Duration;

pub use self::database::each_database;
pub use self::postgres::Postgres;

/// How long [`wait_until`] waits at most. Generous: it only ends a test that has failed already.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long [`wait_until`] rests between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `predicate` holds, asking again and again. For states that no channel announces; await the others directly.
///
/// # Panics
/// It did not hold within a minute. The message says `what`.
pub async fn wait_until(what: &str, mut predicate: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !predicate().await {
            pause().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, asking).await.is_ok();
    assert!(in_time, "waited {} s in vain until {what}", PATIENCE.as_secs());
}

/// Rests a moment before the same question is asked again. Not a way to wait for something: that is [`wait_until`].
pub async fn pause() {
    tokio::time::sleep(PAUSE).await;
}
