//! Opening, migrating and writing a database, alone and with others.

use std::path::Path;

use tokio::task::JoinSet;

use super::*;

const V1: &str = "CREATE TABLE marks (mark TEXT NOT NULL) STRICT; INSERT INTO marks VALUES ('one');";
const V2: &str = "INSERT INTO marks VALUES ('two');";

async fn open(folder: &Path, migrations: &[&'static str]) -> Result<Database, OpenError> {
    Database::open(&format!("sqlite://{}/in/a.db", folder.display()), migrations).await
}

async fn marks(database: &Database) -> Vec<String> {
    sqlx::query_scalar("SELECT mark FROM marks ORDER BY rowid").fetch_all(database.readers()).await.unwrap()
}

#[tokio::test]
async fn each_script_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), &[V1]).await.unwrap();
    assert_eq!(marks(&first).await, ["one"]);
    first.close().await;
    let second = open(folder.path(), &[V1, V2]).await.unwrap();
    assert_eq!(marks(&second).await, ["one", "two"]);
    let third = open(folder.path(), &[V1, V2]).await.unwrap();
    assert_eq!(marks(&third).await, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        let folder = folder.path().to_path_buf();
        starts.spawn(async move { open(&folder, &[V1, V2]).await.unwrap() });
    }
    for database in starts.join_all().await {
        assert_eq!(marks(&database).await, ["one", "two"]);
    }
}

#[tokio::test]
async fn the_last_to_close_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (open(folder.path(), &[V1]).await.unwrap(), open(folder.path(), &[V1]).await.unwrap());
    assert_eq!(marks(&second).await, ["one"]);
    let files = || std::fs::read_dir(folder.path().join("in")).unwrap().count();
    first.close().await;
    assert_eq!(files(), 3, "the file, -wal and -shm");
    second.close().await;
    assert_eq!(files(), 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), &[V1, V2]).await.unwrap().close().await;
    let error = open(folder.path(), &[V1]).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_failed_script_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), &[V1, "INSERT INTO nowhere VALUES (1);"]).await.unwrap_err();
    assert!(matches!(error, OpenError::Storage { .. }), "{error:?}");
    assert_eq!(marks(&open(folder.path(), &[V1]).await.unwrap()).await, ["one"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    let text = "this is a letter to my aunt and no database at all, whatever its name may say".repeat(20);
    std::fs::write(folder.path().join("in/a.db"), &text).unwrap();
    assert!(matches!(open(folder.path(), &[V1]).await, Err(OpenError::Storage { .. })));
    assert_eq!(std::fs::read_to_string(folder.path().join("in/a.db")).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_replicas_lose_nothing() {
    const SCHEMA: &str = "CREATE TABLE counter (value INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0);";
    let folder = tempfile::tempdir().unwrap();
    let replicas = [open(folder.path(), &[SCHEMA]).await.unwrap(), open(folder.path(), &[SCHEMA]).await.unwrap()];
    let mut writers = JoinSet::new();
    for number in 0..40 {
        let replica = replicas[number % 2].clone();
        writers.spawn(async move {
            let mut transaction = replica.begin().await.unwrap();
            let value: i64 =
                sqlx::query_scalar("SELECT value FROM counter").fetch_one(&mut *transaction).await.unwrap();
            sqlx::query("UPDATE counter SET value = ?").bind(value + 1).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        });
    }
    writers.join_all().await;
    let value: i64 = sqlx::query_scalar("SELECT value FROM counter").fetch_one(replicas[0].readers()).await.unwrap();
    assert_eq!(value, 40);
}

#[test]
fn ids_differ_and_have_one_form() {
    let (one, other) = (new_id(), new_id());
    assert_ne!(one, other);
    assert!(one.len() == 32 && one.bytes().all(|c| c.is_ascii_hexdigit()));
}
