//! What goes wrong with a database.

use std::path::PathBuf;

use axum::http::StatusCode;
use samspill::Problem;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of a kind that is not supported.
    #[error(
        "DATABASE_URL `{url}` is neither `sqlite://` and a path, nor `postgres://` and a server\nhint: DATABASE_URL=sqlite:///var/lib/craterate/bookings.db\n      DATABASE_URL=postgres://user:password@host:5432/database"
    )]
    Url {
        /// What was given, without what may be a password.
        url: String,
    },
    /// The URL is PostgreSQL's, and cannot be understood.
    #[error(
        "DATABASE_URL is no address of a PostgreSQL: {problem}\nhint: DATABASE_URL=postgres://user:password@host:5432/database, where a password's special characters are written `%40` (`@`), `%2F` (`/`), `%3F` (`?`), `%23` (`#`)"
    )]
    PostgresUrl {
        /// What is wrong with it. Never holds a value of it.
        problem: String,
    },
    /// The folder of the file does not exist and cannot be made.
    #[error("the folder {} of the database cannot be made", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A newer version of the service has written here.
    #[error(
        "the database {place} is at step {found}, and this program knows {known}: a newer version has written here, nothing was changed\nhint: run that version, or point DATABASE_URL to another database"
    )]
    Newer {
        /// The file, or the database and its server.
        place: String,
        /// Its last migration.
        found: usize,
        /// Our last migration.
        known: usize,
    },
    /// It cannot be reached, read or written, or is no database.
    #[error("the database {place} cannot be opened")]
    Storage {
        /// The file, or the database and its server.
        place: String,
        /// Why.
        source: StorageError,
    },
}

/// A database call that failed. Callers can do nothing about it but try again later.
#[derive(Debug, thiserror::Error)]
#[error("a database call failed")]
pub struct StorageError(#[from] sqlx::Error);

impl StorageError {
    /// Whether another connection to the file held its lock for too long.
    pub(crate) fn is_busy(&self) -> bool {
        const SQLITE_BUSY: i32 = 5;
        const PRIMARY_CODE: i32 = 0xff;
        let error = self.0.as_database_error().and_then(|error| error.try_downcast_ref::<SqliteError>());
        let code = error.and_then(|error| sqlx::error::DatabaseError::code(error)?.parse::<i32>().ok());
        code.is_some_and(|code| code & PRIMARY_CODE == SQLITE_BUSY)
    }

    /// Whether the database could not be reached or had no time: the same call may work in a moment.
    pub fn is_unavailable(&self) -> bool {
        match &self.0 {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => is_unavailable(error.code()),
                None => self.is_busy(),
            },
            _other => false,
        }
    }
}

/// PostgreSQL's manual, appendix A, "Error Codes".
fn is_unavailable(sqlstate: &str) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    const TOO_MANY_CONNECTIONS: &str = "53300";
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const IDLE_IN_TRANSACTION: &str = "25P03";
    const SHUTDOWN_CRASH_OR_START: [&str; 3] = ["57P01", "57P02", "57P03"];
    sqlstate.starts_with(CONNECTION_EXCEPTION)
        || SHUTDOWN_CRASH_OR_START.contains(&sqlstate)
        || [TOO_MANY_CONNECTIONS, LOCK_NOT_AVAILABLE, IDLE_IN_TRANSACTION].contains(&sqlstate)
}

/// Callers hear that it failed, and whether to try again; the log hears why.
impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        let problem = Self::internal(&error);
        if error.is_unavailable() { StatusCode::SERVICE_UNAVAILABLE.into() } else { problem }
    }
}
