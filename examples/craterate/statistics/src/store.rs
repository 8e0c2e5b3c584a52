//! The counts, in the database.

use craterate_storage::{Database, Migrations, OpenError, StorageError, unsigned};
use statistics_api::{Counts, EventType};

/// How the tables are made.
const MIGRATIONS: Migrations = Migrations {
    service: "statistics",
    sqlite: &[include_str!("../migrations/sqlite/1.sql")],
    postgres: &[include_str!("../migrations/postgres/1.sql")],
};

/// Where counts are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: Database::open(url, MIGRATIONS).await? })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Counts one more. It is one statement that reads and writes the row at once, so none is lost beside others.
    pub(crate) async fn count(&self, kind: EventType) -> Result<(), StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO counts (type, count) VALUES ($1, 1) ON CONFLICT (type) DO UPDATE SET count = counts.count + 1",
        )
        .bind(kind.name())
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Every type with its count, which may be 0.
    pub(crate) async fn counts(&self) -> Result<Counts, StorageError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT type, count FROM counts").fetch_all(self.database.readers()).await?;
        let count = |kind: EventType| rows.iter().find(|(name, _)| name == kind.name()).map_or(0, |(_, count)| *count);
        EventType::ALL.into_iter().map(|kind| Ok((kind, unsigned(count(kind))?))).collect()
    }
}

#[cfg(test)]
mod tests;
