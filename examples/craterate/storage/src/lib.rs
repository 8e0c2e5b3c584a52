//! Where craterate keeps what must outlive its processes: SQLite, at the path of `DATABASE_URL`.
//!
//! All replicas of a service on one machine share one file. Other databases, by the scheme of the same URL, belong here
//! too; so nothing outside of this crate names SQLite but the services' SQL.

mod error;
mod location;
mod migrate;

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::Instant;

pub use self::error::{OpenError, StorageError};

/// A transaction that may write. Dropped without a commit, it has changed nothing.
pub type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// The value of `db.system.name` in spans.
pub const SYSTEM: &str = "sqlite";

/// How long a writer waits for the writers of other replicas; they hold the lock for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long several replicas that start at once may stand in each other's way.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for two cores; a reader never waits for a writer.
const READERS: u32 = 4;

/// An open database, cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    readers: SqlitePool,
    /// One connection: writers of this process queue here in order, and only those of other processes meet at the file's lock.
    writer: SqlitePool,
}

impl Database {
    /// Opens a database, makes it where there is none, and brings it up to date.
    ///
    /// `migrations` are SQL scripts, the oldest first; a script that was released is never changed.
    ///
    /// # Errors
    /// [`OpenError`]: the service cannot start.
    pub async fn open(url: &str, migrations: &[&'static str]) -> Result<Self, OpenError> {
        let path = location::path(url)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { folder: folder.to_path_buf(), source })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |size| SqlitePoolOptions::new().max_connections(size).idle_timeout(None).max_lifetime(None);
        let database = Self {
            readers: pool(READERS).connect_lazy_with(options.clone()),
            writer: pool(1).connect_lazy_with(options),
        };
        // The change to WAL does not wait for a lock as everything else does, so a second replica that starts now tries again.
        let deadline = Instant::now() + OPEN_TIMEOUT;
        loop {
            match migrate::run(&database, migrations).await {
                Err(migrate::MigrateError::Storage(error)) if error.is_busy() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(migrate::MigrateError::Storage(source)) => return Err(OpenError::Storage { path, source }),
                Err(migrate::MigrateError::Newer { found, known }) => {
                    return Err(OpenError::Newer { path, found, known });
                }
                Ok(()) => return Ok(database),
            }
        }
    }

    /// To read with.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a transaction that holds the right to write from its first moment (`BEGIN IMMEDIATE`): what it reads
    /// cannot change before it commits, and it cannot fail half-way because another one wrote.
    ///
    /// # Errors
    /// When the lock cannot be had in time, or the file cannot be read.
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes all connections, once they have done what they were told. With the last one of all replicas everything is
    /// in the one file, and its `-wal` and `-shm` are gone; without this nothing is lost, but a copy needs all three.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// An amount or a number as SQLite stores it.
pub fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A new id: 128 random bits, in hexadecimal.
pub fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests;
