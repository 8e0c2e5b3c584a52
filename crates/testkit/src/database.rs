//! The databases that a service must work with, each fresh and private.

use crate::Postgres;

/// Runs a test once for each kind of database, with the `DATABASE_URL` of an empty one.
///
/// # Panics
/// As the test does, or PostgreSQL cannot be started. Which database it was is on stderr.
pub async fn each_database(test: impl AsyncFn(&str)) {
    let folder = tempfile::tempdir().expect("a folder for the database");
    run(&format!("sqlite://{}/test.db", folder.path().display()), &test).await;
    let postgres = Postgres::start().await;
    run(&postgres.url(), &test).await;
}

#[expect(clippy::print_stderr, reason = "an assertion that fails does not say which database it was on")]
async fn run(url: &str, test: &impl AsyncFn(&str)) {
    eprintln!("with {url}");
    test(url).await;
}
