//! The counts, in the database.

use craterate_storage::{Database, OpenError, StorageError};
use statistics_api::{Counts, EventType};

/// Where counts are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let database = Database::open(url, &[include_str!("../migrations/1.sql")]).await?;
        Ok(Self { database })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Counts one more.
    pub(crate) async fn count(&self, kind: EventType) -> Result<(), StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO counts (type, count) VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET count = count + 1",
        )
        .bind(kind.name())
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Every type with its count, which may be 0.
    pub(crate) async fn counts(&self) -> Result<Counts, StorageError> {
        let rows: Vec<(String, u64)> =
            sqlx::query_as("SELECT type, count FROM counts").fetch_all(self.database.readers()).await?;
        let count = |kind: EventType| rows.iter().find(|(name, _)| name == kind.name()).map_or(0, |(_, count)| *count);
        Ok(EventType::ALL.into_iter().map(|kind| (kind, count(kind))).collect())
    }
}
