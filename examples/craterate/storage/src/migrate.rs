//! Brings a database up to date.
//!
//! Our own few lines instead of sqlx's migrator, which takes no lock on SQLite: two replicas that start at once would
//! both run the first script. It also has one table for all, where several services may share a PostgreSQL database.

use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::{Migrations, StorageError, System, integer, lock, unsigned};

/// Where PostgreSQL keeps what SQLite has in `user_version`: the steps that each service has taken.
const STEPS: &str = "
    SET LOCAL synchronous_commit = on;
    SET LOCAL client_min_messages = warning;
    CREATE TABLE IF NOT EXISTS migrations (
      service TEXT NOT NULL,
      step BIGINT NOT NULL,
      at TIMESTAMPTZ NOT NULL DEFAULT now(),
      PRIMARY KEY (service, step)
    )";

/// Why a database is not up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    /// The database knows more steps than we do.
    #[error("step {found} is newer than {known}")]
    Newer { found: usize, known: usize },
    /// The database refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Runs the scripts that were not run yet, all or none. Others that start now wait for it, however long it takes.
pub(crate) async fn run(
    connection: &mut AnyConnection,
    system: System,
    migrations: &Migrations,
) -> Result<(), MigrateError> {
    let scripts = migrations.of(system);
    let mut transaction = connection.begin_with(system.begin()).await?;
    let found = found(&mut transaction, system, migrations.service).await?;
    let known = scripts.len();
    let Some(missing) = scripts.get(found..) else {
        return Err(MigrateError::Newer { found, known });
    };
    for script in missing {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
    }
    if !missing.is_empty() {
        mark(&mut transaction, system, migrations.service, known).await?;
    }
    Ok(transaction.commit().await?)
}

/// The last step that was taken.
async fn found(on: &mut AnyConnection, system: System, service: &str) -> Result<usize, StorageError> {
    let step: i64 = match system {
        System::Sqlite => sqlx::query_scalar("PRAGMA user_version").fetch_one(on).await?,
        System::Postgres => {
            lock(on, "migrations").await?;
            sqlx::raw_sql(STEPS).execute(&mut *on).await?;
            let last = sqlx::query_scalar("SELECT coalesce(max(step), 0) FROM migrations WHERE service = $1");
            last.bind(service).fetch_one(on).await?
        }
    };
    unsigned(step)
}

async fn mark(on: &mut AnyConnection, system: System, service: &str, step: usize) -> Result<(), StorageError> {
    match system {
        System::Sqlite => {
            let mark = AssertSqlSafe(format!("PRAGMA user_version = {step}"));
            sqlx::raw_sql(mark).execute(on).await?;
        }
        System::Postgres => {
            let mark = sqlx::query("INSERT INTO migrations (service, step) VALUES ($1, $2)");
            mark.bind(service).bind(integer(step as u64)?).execute(on).await?;
        }
    }
    Ok(())
}
