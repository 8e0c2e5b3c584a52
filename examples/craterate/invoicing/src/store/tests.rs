//! Invoices and payments on each kind of database, through two replicas at once.

use samspill_testkit::{Postgres, each_database, wait_until};
use tokio::task::JoinSet;

use super::*;

async fn replicas(url: &str) -> [Store; 2] {
    [Store::open(url).await.unwrap(), Store::open(url).await.unwrap()]
}

fn new(id: &str) -> NewInvoice {
    NewInvoice { id: id.to_owned(), booking_id: "b-1".to_owned(), cents: 14_400, currency: "NOK".to_owned() }
}

async fn paid_cents(store: &Store, id: &str) -> u64 {
    store.get(id).await.unwrap().unwrap().paid_cents
}

#[tokio::test]
async fn an_invoice_is_the_same_for_every_replica() {
    each_database(async |url| {
        let [one, other] = replicas(url).await;
        let Create::Made(first) = one.create(&new("i-1")).await.unwrap() else { panic!("it was not made") };
        let Create::Made(again) = other.create(&new("i-1")).await.unwrap() else { panic!("it was not found") };
        assert_eq!(again, first);
        assert_eq!(other.get("i-1").await.unwrap(), Some(first.clone()));
        let form: Vec<u8> = first.created_at.bytes().map(|c| if c.is_ascii_digit() { b'9' } else { c }).collect();
        assert_eq!(form, b"9999-99-99T99:99:99.999Z");
        let dearer = NewInvoice { cents: 14_401, ..new("i-1") };
        assert!(matches!(other.create(&dearer).await.unwrap(), Create::IdTaken));
        let beyond = NewInvoice { cents: u64::MAX, ..new("i-2") };
        assert!(other.create(&beyond).await.is_err());
        assert_eq!(other.get("i-2").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_at_once_is_one_invoice() {
    each_database(async |url| {
        let replicas = replicas(url).await;
        let mut makers = JoinSet::new();
        for number in 0..16 {
            let store = replicas[number % 2].clone();
            let new = NewInvoice { cents: 1 + (number as u64) % 4, ..new("i-1") };
            makers.spawn(async move { matches!(store.create(&new).await.unwrap(), Create::Made(_)) });
        }
        let made = makers.join_all().await;
        assert_eq!(made.iter().filter(|made| **made).count(), 4, "those of one amount; the others hear of it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_at_once_never_go_beyond_what_is_owed() {
    each_database(async |url| {
        let replicas = replicas(url).await;
        replicas[0].create(&new("i-1")).await.unwrap();
        let mut payers = JoinSet::new();
        for number in 0..16 {
            let store = replicas[number % 2].clone();
            payers.spawn(async move { matches!(store.pay("i-1", 5_000, None).await.unwrap(), Pay::Paid(_)) });
        }
        assert_eq!(payers.join_all().await.iter().filter(|paid| **paid).count(), 2);
        assert_eq!(paid_cents(&replicas[0], "i-1").await, 10_000);
        let more = replicas[1].pay("i-1", 5_000, None).await.unwrap();
        assert!(matches!(more, Pay::TooMuch { outstanding_cents: 4_400 }), "{more:?}");
    })
    .await;
}

/// Both are stopped where they write, after what they have read.
#[tokio::test]
async fn payments_that_meet_do_not_both_see_the_whole_debt() {
    let server = Postgres::start().await;
    let replicas = replicas(&server.url()).await;
    replicas[0].create(&new("i-1")).await.unwrap();
    let mut gate = replicas[0].database.begin().await.unwrap();
    sqlx::query("LOCK TABLE payments IN SHARE MODE").execute(&mut *gate).await.unwrap();
    let mut payers = JoinSet::new();
    for store in replicas.clone() {
        payers.spawn(async move { store.pay("i-1", 14_400, None).await.unwrap() });
    }
    let both_wait = async || {
        let waiting = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted");
        waiting.fetch_one(replicas[0].database.readers()).await.is_ok_and(|count: i64| count == 2)
    };
    wait_until("both payments wait", both_wait).await;
    gate.commit().await.unwrap();
    let paid = payers.join_all().await;
    assert_eq!(paid.iter().filter(|paid| matches!(paid, Pay::Paid(_))).count(), 1, "{paid:?}");
    assert_eq!(paid_cents(&replicas[0], "i-1").await, 14_400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_once_is_one_payment() {
    each_database(async |url| {
        let replicas = replicas(url).await;
        for id in ["i-0", "i-1"] {
            replicas[0].create(&new(id)).await.unwrap();
        }
        let mut payers = JoinSet::new();
        for number in 0..16 {
            let store = replicas[number % 2].clone();
            let id = format!("i-{}", number / 2 % 2);
            payers.spawn(async move {
                match store.pay(&id, 100, Some("k")).await.unwrap() {
                    Pay::Paid(payment) => Some(payment.id),
                    Pay::KeyTaken => None,
                    other => panic!("{other:?}"),
                }
            });
        }
        let mut payments: Vec<_> = payers.join_all().await.into_iter().flatten().collect();
        assert_eq!(payments.len(), 8, "those of one invoice are answered, those of the other refused");
        payments.dedup();
        assert_eq!(payments.len(), 1, "with one and the same payment");
        assert_eq!(paid_cents(&replicas[0], "i-0").await + paid_cents(&replicas[0], "i-1").await, 100);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_an_id_is_not_there() {
    each_database(async |url| {
        let [store, _] = replicas(url).await;
        for id in ["i-1", "", "\0", "%00", "ø' OR 1=1 --"] {
            assert_eq!(store.get(id).await.unwrap(), None);
            assert!(matches!(store.pay(id, 1, None).await.unwrap(), Pay::NoInvoice));
        }
    })
    .await;
}
