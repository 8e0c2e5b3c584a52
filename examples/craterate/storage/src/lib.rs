//! Where craterate keeps what must outlive its processes: SQLite or PostgreSQL, by the scheme of `DATABASE_URL`.
//!
//! All replicas of a service share one database. Nothing outside of this crate names a kind of database but the
//! services' migrations and the one query that has no common words.
//!
//! It stands on sqlx's `Any` driver, which chooses at run time. What that driver lacks is made up for here: it has no
//! unsigned integers ([`integer`], [`unsigned`]), and takes no settings but a URL (they are made on each connection).

mod error;
mod location;
mod migrate;

use std::num::TryFromIntError;
use std::time::Duration;

use sqlx::any::{Any, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};
use tokio::time::{Instant, timeout};

use self::location::Location;
use self::migrate::MigrateError;

pub use self::error::{OpenError, StorageError};

/// A transaction that may write. Dropped without a commit, it has changed nothing.
pub type Transaction = sqlx::Transaction<'static, Any>;

/// How long several replicas that start at once may stand in each other's way, and how long a server may take to answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for two cores. On SQLite a reader never waits for a writer.
const READERS: u32 = 4;

/// SQLite: a commit is on disk. A writer waits 5 s for the writers of other replicas; they hold the lock for milliseconds.
const SQLITE_SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000";

/// PostgreSQL: whatever the server's defaults are, a commit is on disk, and what nobody has asked to lock is not
/// locked. A writer waits 5 s for another one; one that went silent with a lock in its hand loses it after 10 s.
const POSTGRES_SETTINGS: &str = "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed';
    SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'";

/// The kinds of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// A file, shared by the replicas on one machine.
    Sqlite,
    /// A server, shared by all replicas.
    Postgres,
}

impl System {
    fn settings(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_SETTINGS,
            Self::Postgres => POSTGRES_SETTINGS,
        }
    }

    /// How a transaction that may write begins.
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        }
    }

    /// SQLite has one writer at a time, so more of them would only meet at the file's lock instead of queueing in order.
    fn writers(self) -> u32 {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 4,
        }
    }

    /// How long a call waits for a connection: until other calls are done with it, or until a server that is away is back.
    fn patience(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_secs(30),
            Self::Postgres => Duration::from_secs(5),
        }
    }
}

/// How a service's tables are made: SQL scripts, the oldest first. A script that was released is never changed.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Whose tables they are; several services may share one PostgreSQL database.
    pub service: &'static str,
    /// The scripts in SQLite's words.
    pub sqlite: &'static [&'static str],
    /// The same in PostgreSQL's.
    pub postgres: &'static [&'static str],
}

impl Migrations {
    fn of(&self, system: System) -> &'static [&'static str] {
        match system {
            System::Sqlite => self.sqlite,
            System::Postgres => self.postgres,
        }
    }
}

/// An open database, cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    system: System,
    readers: AnyPool,
    /// Apart from the readers, so that these do not wait for a connection that waits for a lock.
    writers: AnyPool,
}

impl Database {
    /// Opens a database and brings it up to date. A file is made where there is none; a server's database must be there.
    ///
    /// # Errors
    /// [`OpenError`]: the service cannot start.
    pub async fn open(url: &str, migrations: Migrations) -> Result<Self, OpenError> {
        let location = Location::of(url)?;
        if let Some(folder) = &location.folder {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { folder: folder.clone(), source })?;
        }
        sqlx::any::install_default_drivers();
        // The change to WAL does not wait for a lock as everything else does, so a second replica that starts now tries again.
        let deadline = Instant::now() + OPEN_TIMEOUT;
        loop {
            match prepare(&location, &migrations).await {
                Err(MigrateError::Storage(error)) if error.is_busy() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(MigrateError::Storage(source)) => {
                    return Err(OpenError::Storage { place: location.place, source });
                }
                Err(MigrateError::Newer { found, known }) => {
                    return Err(OpenError::Newer { place: location.place, found, known });
                }
                Ok(()) => return Ok(Self::at(&location)),
            }
        }
    }

    fn at(Location { system, options, .. }: &Location) -> Self {
        let settings = system.settings();
        let pool = |size| {
            let pool = AnyPoolOptions::new().max_connections(size).acquire_timeout(system.patience());
            let pool = pool.idle_timeout(None).max_lifetime(None);
            let pool = pool.after_connect(move |connection, _| Box::pin(set(connection, settings)));
            pool.connect_lazy_with(options.clone())
        };
        Self { system: *system, readers: pool(READERS), writers: pool(system.writers()) }
    }

    /// Which kind it is, for what has no common words.
    pub fn system(&self) -> System {
        self.system
    }

    /// To read with.
    pub fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// Begins a transaction for writes of which each holds by itself.
    ///
    /// On PostgreSQL each statement sees what was committed when it began (`READ COMMITTED`). So an upsert and an
    /// `UPDATE … WHERE` are safe beside others, and what they have done can be read afterwards; a decision made on what
    /// was read before is not: for that there is [`begin_exclusive`](Self::begin_exclusive). On SQLite this is the same.
    ///
    /// # Errors
    /// When no connection, or the file's lock, can be had in time.
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        Ok(self.writers.begin_with(self.system.begin()).await?)
    }

    /// Begins a transaction that does not overlap with any other of the same `name`, on whatever replica: what it reads
    /// of what they write cannot change before it commits, and it cannot fail half-way because another one wrote.
    ///
    /// On PostgreSQL this is an advisory lock until the end of the transaction. With it there is nothing to try again, as
    /// there would be with `SERIALIZABLE`; and it is taken before the first row is read, where `SELECT … FOR UPDATE`
    /// would see sums from before it had waited. A transaction takes one name only, so two never wait for each other.
    /// On SQLite it is the right to write to the file, whatever the name (`BEGIN IMMEDIATE`).
    ///
    /// # Errors
    /// When no connection or not the lock can be had in time.
    pub async fn begin_exclusive(&self, name: &str) -> Result<Transaction, StorageError> {
        let mut transaction = self.begin().await?;
        if self.system == System::Postgres {
            lock(&mut transaction, name).await?;
        }
        Ok(transaction)
    }

    /// Closes all connections, once they have done what they were told. With the last one of all replicas everything is
    /// in SQLite's one file, and its `-wal` and `-shm` are gone; without this nothing is lost, but a copy needs all three.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Sees that a database is there and up to date. Not by a pool, which would try until its patience is over and then say
/// that it is, but not why.
async fn prepare(location: &Location, migrations: &Migrations) -> Result<(), MigrateError> {
    let connecting = timeout(OPEN_TIMEOUT, location.options.connect());
    let mut connection = connecting.await.map_err(|elapsed| sqlx::Error::Io(elapsed.into()))??;
    let updated = update(&mut connection, location.system, migrations).await;
    let closed = connection.close().await;
    updated?;
    Ok(closed?)
}

async fn update(connection: &mut AnyConnection, system: System, migrations: &Migrations) -> Result<(), MigrateError> {
    if system == System::Sqlite {
        set(connection, SQLITE_SETTINGS).await?;
        // For good: it is a property of the file.
        set(connection, "PRAGMA journal_mode = WAL").await?;
    }
    migrate::run(connection, system, migrations).await
}

async fn set(connection: &mut AnyConnection, settings: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(settings).execute(connection).await.map(|_result| ())
}

/// Keeps others of this name waiting until the end of the transaction. PostgreSQL frees it after the commit can be seen.
async fn lock(transaction: &mut AnyConnection, name: &str) -> Result<(), StorageError> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
    lock.bind(name).execute(transaction).await?;
    Ok(())
}

/// A count or an amount as a database stores it.
///
/// # Errors
/// It is 2⁶³ or more, which no database stores: nothing was written.
pub fn integer(value: u64) -> Result<i64, StorageError> {
    i64::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()).into())
}

/// A count or an amount as it was stored.
///
/// # Errors
/// Somebody else has stored a number that is negative, or larger than the type has room for.
pub fn unsigned<T: TryFrom<i64, Error = TryFromIntError>>(value: i64) -> Result<T, StorageError> {
    T::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()).into())
}

/// Whether a text can be in a database at all: PostgreSQL has no U+0000. What is looked up by another text is not there.
pub fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

/// A new id: 128 random bits, in hexadecimal.
pub fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests;
