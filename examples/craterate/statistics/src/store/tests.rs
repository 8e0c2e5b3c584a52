//! The counts on each kind of database.

use samspill_testkit::each_database;
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_between_replicas() {
    each_database(async |url| {
        let replicas = [Store::open(url).await.unwrap(), Store::open(url).await.unwrap()];
        assert_eq!(replicas[0].counts().await.unwrap(), Counts::from([(EventType::OrderAttempt, 0)]));
        let mut writers = JoinSet::new();
        for number in 0..40 {
            let store = replicas[number % 2].clone();
            writers.spawn(async move { store.count(EventType::OrderAttempt).await.unwrap() });
        }
        writers.join_all().await;
        for store in replicas {
            assert_eq!(store.counts().await.unwrap(), Counts::from([(EventType::OrderAttempt, 40)]));
        }
    })
    .await;
}

#[tokio::test]
async fn a_count_never_turns_negative() {
    each_database(async |url| {
        let store = Store::open(url).await.unwrap();
        store.count(EventType::OrderAttempt).await.unwrap();
        let full = sqlx::query("UPDATE counts SET count = $1").bind(i64::MAX);
        full.execute(store.database.readers()).await.unwrap();
        store.count(EventType::OrderAttempt).await.unwrap_err();
        assert_eq!(store.counts().await.unwrap()[&EventType::OrderAttempt], i64::MAX.unsigned_abs());
    })
    .await;
}

#[tokio::test]
async fn counts_outlive_the_process() {
    each_database(async |url| {
        let store = Store::open(url).await.unwrap();
        store.count(EventType::OrderAttempt).await.unwrap();
        store.close().await;
        assert_eq!(Store::open(url).await.unwrap().counts().await.unwrap()[&EventType::OrderAttempt], 1);
    })
    .await;
}
