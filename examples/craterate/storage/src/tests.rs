//! Opening, migrating and writing a database of each kind, alone and with others.

use std::error::Error;
use std::path::Path;

use samspill::Problem;
use samspill_testkit::{Postgres, each_database};
use tokio::task::JoinSet;

use super::*;

const V1: &str = "CREATE TABLE marks (mark TEXT NOT NULL); INSERT INTO marks VALUES ('one');";
const V2: &str = "INSERT INTO marks VALUES ('two');";

/// The same scripts for both, of a service called `marks`.
const fn steps(scripts: &'static [&'static str]) -> Migrations {
    Migrations { service: "marks", sqlite: scripts, postgres: scripts }
}

async fn open(url: &str, scripts: &'static [&'static str]) -> Result<Database, OpenError> {
    Database::open(url, steps(scripts)).await
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}/in/a.db", folder.display())
}

async fn marks(database: &Database) -> Vec<String> {
    sqlx::query_scalar("SELECT mark FROM marks ORDER BY mark").fetch_all(database.readers()).await.unwrap()
}

async fn put(transaction: &mut Transaction, mark: &str) {
    sqlx::query("INSERT INTO marks VALUES ($1)").bind(mark).execute(&mut **transaction).await.unwrap();
}

/// All that the error says, to people and to programmers.
fn text(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(|error| format!("{error}\n{error:?}\n")).collect()
}

#[tokio::test]
async fn each_script_runs_once() {
    each_database(async |url| {
        let first = open(url, &[V1]).await.unwrap();
        assert_eq!(marks(&first).await, ["one"]);
        first.close().await;
        for _ in 0..2 {
            assert_eq!(marks(&open(url, &[V1, V2]).await.unwrap()).await, ["one", "two"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_agree() {
    each_database(async |url| {
        let mut starts = JoinSet::new();
        for _ in 0..8 {
            let url = url.to_owned();
            starts.spawn(async move { open(&url, &[V1, V2]).await.unwrap() });
        }
        for database in starts.join_all().await {
            assert_eq!(marks(&database).await, ["one", "two"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    each_database(async |url| {
        open(url, &[V1, V2]).await.unwrap().close().await;
        let error = open(url, &[V1]).await.unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error:?}");
        assert_eq!(marks(&open(url, &[V1, V2]).await.unwrap()).await, ["one", "two"]);
    })
    .await;
}

#[tokio::test]
async fn a_failed_script_leaves_nothing() {
    each_database(async |url| {
        let error = open(url, &[V1, "INSERT INTO nowhere VALUES (1);"]).await.unwrap_err();
        assert!(matches!(error, OpenError::Storage { .. }), "{error:?}");
        assert_eq!(marks(&open(url, &[V1]).await.unwrap()).await, ["one"]);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_without_a_commit_changes_nothing() {
    each_database(async |url| {
        let database = open(url, &[V1]).await.unwrap();
        for name in ["dropped", "kept"] {
            let mut transaction = database.begin_exclusive("marks").await.unwrap();
            put(&mut transaction, name).await;
            if name == "kept" {
                transaction.commit().await.unwrap();
            }
        }
        assert_eq!(marks(&database).await, ["kept", "one"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_replicas_lose_nothing() {
    const COUNTER: &str = "CREATE TABLE counter (value BIGINT NOT NULL); INSERT INTO counter VALUES (0);";
    each_database(async |url| {
        let replicas = [open(url, &[COUNTER]).await.unwrap(), open(url, &[COUNTER]).await.unwrap()];
        let mut writers = JoinSet::new();
        for number in 0..40 {
            let replica = replicas[number % 2].clone();
            writers.spawn(async move {
                let mut transaction = replica.begin_exclusive("counter").await.unwrap();
                let value: i64 =
                    sqlx::query_scalar("SELECT value FROM counter").fetch_one(&mut *transaction).await.unwrap();
                let update = sqlx::query("UPDATE counter SET value = $1").bind(value + 1);
                update.execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            });
        }
        writers.join_all().await;
        let value: i64 =
            sqlx::query_scalar("SELECT value FROM counter").fetch_one(replicas[0].readers()).await.unwrap();
        assert_eq!(value, 40);
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_value_comes_back() {
    const SCHEMA: &str = "CREATE TABLE kinds (text TEXT, large BIGINT, small BIGINT);";
    each_database(async |url| {
        let database = open(url, &[SCHEMA]).await.unwrap();
        let largest = i64::MAX.unsigned_abs();
        let insert = sqlx::query("INSERT INTO kinds VALUES ($1, $2, $3)");
        let insert = insert.bind(None::<&str>).bind(integer(largest).unwrap()).bind(i64::from(u32::MAX));
        insert.execute(database.readers()).await.unwrap();
        let row: (Option<String>, i64, i64) =
            sqlx::query_as("SELECT * FROM kinds").fetch_one(database.readers()).await.unwrap();
        assert_eq!((row.0, unsigned(row.1).unwrap(), unsigned(row.2).unwrap()), (None, largest, u32::MAX));
    })
    .await;
}

#[test]
fn a_number_that_does_not_fit_is_an_error() {
    assert!(integer(u64::MAX).is_err() && integer(1 << 63).is_err());
    assert!(unsigned::<u64>(-1).is_err() && unsigned::<u32>(1 << 32).is_err());
}

#[tokio::test]
async fn the_last_to_close_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(folder.path());
    let (first, second) = (open(&url, &[V1]).await.unwrap(), open(&url, &[V1]).await.unwrap());
    assert_eq!(marks(&second).await, ["one"]);
    let files = || std::fs::read_dir(folder.path().join("in")).unwrap().count();
    first.close().await;
    assert_eq!(files(), 3, "the file, -wal and -shm");
    second.close().await;
    assert_eq!(files(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    let text = "this is a letter to my aunt and no database at all, whatever its name may say".repeat(20);
    std::fs::write(folder.path().join("in/a.db"), &text).unwrap();
    assert!(matches!(open(&sqlite(folder.path()), &[V1]).await, Err(OpenError::Storage { .. })));
    assert_eq!(std::fs::read_to_string(folder.path().join("in/a.db")).unwrap(), text);
}

#[tokio::test]
async fn every_connection_to_a_file_has_our_settings() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&sqlite(folder.path()), &[V1]).await.unwrap();
    for pool in [&database.readers, &database.writers] {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        let mut numbers: Vec<i64> = Vec::new();
        for pragma in ["PRAGMA synchronous", "PRAGMA foreign_keys", "PRAGMA busy_timeout"] {
            numbers.push(sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap());
        }
        assert_eq!((mode.as_str(), numbers), ("wal", vec![2, 1, 5000]), "synchronous 2 is FULL");
    }
}

#[tokio::test]
async fn every_connection_to_a_server_has_our_settings() {
    let server = Postgres::start().await;
    let owner = open(&server.url(), &[]).await.unwrap();
    let change = "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'";
    sqlx::query(change).execute(owner.readers()).await.unwrap();
    let database = open(&server.url(), &[V1]).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    for (setting, expected) in [
        ("SHOW transaction_isolation", "read committed"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW lock_timeout", "5s"),
        ("SHOW idle_in_transaction_session_timeout", "10s"),
    ] {
        let value: String = sqlx::query_scalar(setting).fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test]
async fn services_share_a_server_s_database() {
    let server = Postgres::start().await;
    let other = Migrations { service: "other", ..steps(&["CREATE TABLE others (other TEXT NOT NULL)"]) };
    let (one, other) = (open(&server.url(), &[V1, V2]).await.unwrap(), Database::open(&server.url(), other).await);
    assert_eq!(marks(&one).await, ["one", "two"]);
    let query = sqlx::query("SELECT other FROM others");
    assert!(query.fetch_all(other.unwrap().readers()).await.unwrap().is_empty());
}

#[tokio::test]
async fn writers_of_other_names_do_not_wait() {
    let server = Postgres::start().await;
    let database = open(&server.url(), &[V1]).await.unwrap();
    let mut one = database.begin_exclusive("one").await.unwrap();
    let mut other = database.begin_exclusive("other").await.unwrap();
    put(&mut one, "a").await;
    put(&mut other, "b").await;
    other.commit().await.unwrap();
    one.commit().await.unwrap();
    assert_eq!(marks(&database).await, ["a", "b", "one"]);
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let mut server = Postgres::start().await;
    let database = open(&server.url(), &[V1]).await.unwrap();
    let mut unfinished = database.begin().await.unwrap();
    put(&mut unfinished, "unfinished").await;
    server.kill();

    let lost = StorageError::from(unfinished.commit().await.unwrap_err());
    let away = database.begin().await.unwrap_err();
    let unchanged = sqlx::query("DELETE FROM marks").execute(database.readers()).await.unwrap_err();
    for error in [lost, away, unchanged.into()] {
        assert!(error.is_unavailable(), "{error:?}");
        assert_eq!(Problem::from(error).status(), 503);
    }

    server.run().await;
    assert_eq!(marks(&database).await, ["one"], "nothing is half written");
    let mut transaction = database.begin_exclusive("marks").await.unwrap();
    put(&mut transaction, "two").await;
    transaction.commit().await.unwrap();
    assert_eq!(marks(&database).await, ["one", "two"]);
}

#[tokio::test]
async fn a_lock_that_is_not_had_in_time_is_a_503() {
    let server = Postgres::start().await;
    let database = open(&server.url(), &[V1]).await.unwrap();
    let _held = database.begin_exclusive("marks").await.unwrap();
    let mut waiting = database.begin().await.unwrap();
    set(&mut waiting, "SET LOCAL lock_timeout = '1ms'").await.unwrap();
    let error = lock(&mut waiting, "marks").await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let server = Postgres::start().await;
    let owner = open(&server.url(), &[]).await.unwrap();
    let role = "CREATE ROLE guest LOGIN PASSWORD 's3cret'; GRANT CREATE ON SCHEMA public TO guest;
        GRANT SELECT, INSERT ON migrations TO guest";
    sqlx::raw_sql(role).execute(owner.readers()).await.unwrap();
    let database = open(&server.url_of("guest:s3cret"), &[V1]).await.unwrap();
    assert_eq!(marks(&database).await, ["one"]);
    assert!(!format!("{database:?}").contains("s3cret"));

    let error = open(&server.url_of("guest:s3cret-not"), &[V1]).await.unwrap_err();
    let said = text(&error);
    assert!(said.contains("the database `postgres` at /tmp/pg-") && said.contains("authentication failed"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://me:s3cret@localhost/shop?host={}", folder.path().display());
    let error = open(&url, &[V1]).await.unwrap_err();
    let expected = format!("the database `shop` at {} cannot be opened", folder.path().display());
    assert_eq!(error.to_string(), expected);
    assert!(!text(&error).contains("s3cret"));
}

#[test]
fn ids_differ_and_have_one_form() {
    let (one, other) = (new_id(), new_id());
    assert_ne!(one, other);
    assert!(one.len() == 32 && one.bytes().all(|c| c.is_ascii_hexdigit()));
}
