//! Parcels and their events on each kind of database, through two replicas at once.

use samspill_testkit::{Postgres, each_database, wait_until};
use tokio::task::JoinSet;

use super::*;

/// Two replicas that know two parcels, `p-0` and `p-1`.
async fn replicas(url: &str) -> [Store; 2] {
    let replicas = [Store::open(url).await.unwrap(), Store::open(url).await.unwrap()];
    for id in ["p-0", "p-1"] {
        replicas[0].create(&new(id)).await.unwrap();
    }
    replicas
}

fn new(id: &str) -> NewParcel {
    NewParcel { id: id.to_owned(), from: "NO".to_owned(), to: "SE".to_owned(), grams: u32::MAX }
}

#[tokio::test]
async fn a_parcel_is_the_same_for_every_replica() {
    each_database(async |url| {
        let [one, other] = replicas(url).await;
        let Append::Added(event) = one.append("p-0", EventType::PickedUp, "Tromsø").await.unwrap() else {
            panic!("the parcel is there")
        };
        let Create::Made(parcel) = other.create(&new("p-0")).await.unwrap() else { panic!("it is the same") };
        assert_eq!((parcel.grams, &parcel.events), (u32::MAX, &vec![event.clone()]));
        assert_eq!(other.get("p-0").await.unwrap(), Some(parcel));
        let form: Vec<u8> = event.at.bytes().map(|c| if c.is_ascii_digit() { b'9' } else { c }).collect();
        assert_eq!(form, b"9999-99-99T99:99:99.999Z");
        let lighter = NewParcel { grams: 1, ..new("p-0") };
        assert!(matches!(other.create(&lighter).await.unwrap(), Create::IdTaken));
        assert_eq!(other.events_after("p-0", 0).await.unwrap(), [event]);
        assert!(other.events_after("p-0", u64::MAX).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_numbered_without_gaps_and_end_with_one_delivery() {
    each_database(async |url| {
        let replicas = replicas(url).await;
        let mut writers = JoinSet::new();
        for number in 0..20 {
            let store = replicas[number % 2].clone();
            let kind = if number < 14 { EventType::InTransit } else { EventType::Delivered };
            writers.spawn(async move {
                match store.append("p-0", kind, "Moss").await.unwrap() {
                    Append::Added(event) => Some(event),
                    Append::Delivered => None,
                    Append::NoParcel => panic!("it is there"),
                }
            });
        }
        let mut added: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        added.sort_unstable_by_key(|event| event.sequence);
        assert_eq!(added, replicas[0].get("p-0").await.unwrap().unwrap().events);
        let sequences: Vec<_> = added.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=added.len() as u64).collect::<Vec<_>>());
        let deliveries: Vec<_> = added.iter().filter(|event| event.kind == EventType::Delivered).collect();
        assert_eq!(deliveries, [added.last().unwrap()]);
    })
    .await;
}

/// A feed goes by the last event's number: one that is seen before a smaller one would hide that from all watchers.
#[tokio::test]
async fn no_event_is_seen_before_one_with_a_smaller_number() {
    let server = Postgres::start().await;
    let [store, other] = replicas(&server.url()).await;
    let mut slow = other.database.begin_exclusive("events").await.unwrap();
    let insert = "INSERT INTO events (parcel_id, sequence, type, place) VALUES ('p-0', 1, 'picked-up', 'Oslo')";
    sqlx::query(insert).execute(&mut *slow).await.unwrap();
    let appending = store.clone();
    let mut quick = JoinSet::new();
    let append = quick.spawn(async move { appending.append("p-1", EventType::PickedUp, "Moss").await.unwrap() });
    let waits_or_is_done = async || {
        let waiting = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted");
        let waiting = waiting.fetch_one(store.database.readers()).await.is_ok_and(|count: i64| count == 1);
        waiting || append.is_finished()
    };
    wait_until("the other event waits", waits_or_is_done).await;
    assert_eq!(store.last_event().await.unwrap(), 0);
    slow.commit().await.unwrap();
    quick.join_all().await;
    assert_eq!(store.last_event().await.unwrap(), 2);
}

#[tokio::test]
async fn what_cannot_be_an_id_is_not_there() {
    each_database(async |url| {
        let [store, _] = replicas(url).await;
        for id in ["p-2", "", "\0"] {
            assert_eq!(store.get(id).await.unwrap(), None);
            assert!(matches!(store.append(id, EventType::PickedUp, "Oslo").await.unwrap(), Append::NoParcel));
        }
    })
    .await;
}
