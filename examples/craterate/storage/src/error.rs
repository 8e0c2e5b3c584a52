//! What goes wrong with a database.

use std::path::PathBuf;

use samspill::Problem;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of a kind that is not supported.
    #[error(
        "DATABASE_URL `{url}` is not `sqlite://` and a path\nhint: DATABASE_URL=sqlite:///var/lib/craterate/bookings.db"
    )]
    Url {
        /// What was given, without what may be a password.
        url: String,
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
        "the database {} is at step {found}, and this program knows {known}: a newer version has written here, nothing was changed\nhint: run that version, or point DATABASE_URL to another file",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its last migration.
        found: usize,
        /// Our last migration.
        known: usize,
    },
    /// The file cannot be read or written, or is no database.
    #[error("the database {} cannot be opened", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StorageError,
    },
}

/// A database call that failed. Callers can do nothing about it but try again later.
#[derive(Debug, thiserror::Error)]
#[error("a database call failed")]
pub struct StorageError(#[from] sqlx::Error);

impl StorageError {
    /// Whether another connection held the lock for too long.
    pub fn is_busy(&self) -> bool {
        const SQLITE_BUSY: i32 = 5;
        const PRIMARY_CODE: i32 = 0xff;
        let code = self.0.as_database_error().and_then(|error| error.code());
        code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & PRIMARY_CODE == SQLITE_BUSY)
    }
}

/// Callers hear that it failed, the log hears why.
impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        Self::internal(&error)
    }
}
