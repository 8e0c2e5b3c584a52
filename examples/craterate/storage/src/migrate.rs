//! Brings a database up to date.
//!
//! Our own few lines instead of sqlx's migrator, which takes no lock on SQLite: two replicas that start at once would
//! both run the first script.

use sqlx::AssertSqlSafe;

use crate::{Database, StorageError};

/// Why a database is not up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    /// The file knows more steps than we do.
    #[error("step {found} is newer than {known}")]
    Newer { found: usize, known: usize },
    /// SQLite refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Runs the scripts that were not run yet, all or none. The count of those that were is in `user_version`.
pub(crate) async fn run(database: &Database, migrations: &[&'static str]) -> Result<(), MigrateError> {
    let mut transaction = database.begin().await?;
    let found: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await.map_err(StorageError::from)?;
    let known = migrations.len();
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(missing) = migrations.get(found..) else {
        return Err(MigrateError::Newer { found, known });
    };
    for script in missing {
        sqlx::raw_sql(*script).execute(&mut *transaction).await.map_err(StorageError::from)?;
    }
    let mark = AssertSqlSafe(format!("PRAGMA user_version = {known}"));
    sqlx::raw_sql(mark).execute(&mut *transaction).await.map_err(StorageError::from)?;
    transaction.commit().await.map_err(StorageError::from)?;
    Ok(())
}
