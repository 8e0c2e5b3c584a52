//! Bookings on each kind of database, through two replicas at once.

use samspill_testkit::each_database;
use tokio::task::JoinSet;

use super::*;

async fn replicas(url: &str) -> [Store; 2] {
    [Store::open(url).await.unwrap(), Store::open(url).await.unwrap()]
}

fn request(grams: u32) -> BookingRequest {
    let text = str::to_owned;
    BookingRequest { from: text("NO"), to: text("SE"), grams, sender: text("Kåre"), recipient: text("Sven") }
}

fn quote(cents: u64) -> Quote {
    Quote { cents, currency: "NOK".to_owned(), valid_seconds: 900 }
}

#[tokio::test]
async fn a_booking_is_the_same_for_every_replica() {
    each_database(async |url| {
        let [one, other] = replicas(url).await;
        let booking = one.begin("k", &request(31_500), &quote(14_400)).await.unwrap();
        let Booking { booked, from, to, grams, sender, recipient, .. } = &booking;
        assert_eq!((from.as_str(), to.as_str(), *grams), ("NO", "SE", 31_500));
        assert_eq!((sender.as_str(), recipient.as_str(), booked.cents), ("Kåre", "Sven", 14_400));
        assert_eq!((other.find("k").await.unwrap(), other.find("l").await.unwrap()), (Some(booking.clone()), None));
        assert_eq!(other.get(&booked.id).await.unwrap(), Some(booking.clone()));
        let form: Vec<u8> = booking.created_at.bytes().map(|c| if c.is_ascii_digit() { b'9' } else { c }).collect();
        assert_eq!(form, b"9999-99-99T99:99:99.999Z");
        for id in ["", "\0", "k"] {
            assert_eq!(other.get(id).await.unwrap(), None);
        }
        one.begin("beyond", &request(1), &quote(u64::MAX)).await.unwrap_err();
        assert_eq!(other.find("beyond").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_once_is_one_booking_and_one_confirmation() {
    each_database(async |url| {
        let replicas = replicas(url).await;
        let mut bookers = JoinSet::new();
        for number in 0..16 {
            let store = replicas[number % 2].clone();
            bookers.spawn(async move {
                let booking = store.begin("k", &request(1), &quote(1)).await.unwrap();
                (store.confirm(&booking.booked.id).await.unwrap(), booking.booked)
            });
        }
        let mut all = bookers.join_all().await;
        assert_eq!(all.iter().filter(|(is_ours, _)| *is_ours).count(), 1);
        all.dedup_by(|one, other| one.1 == other.1);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(replicas[1].get(&all[0].1.id).await.unwrap().unwrap().status, Status::Confirmed);
        assert_eq!(replicas[1].page(u64::MAX).await.unwrap().items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_pending_is_found_once_it_is_old_enough() {
    each_database(async |url| {
        let [store, other] = replicas(url).await;
        let mut keys = Vec::new();
        for key in ["a", "b", "c"] {
            keys.push(store.begin(key, &request(1), &quote(1)).await.unwrap().booked.id);
        }
        store.confirm(&keys[1]).await.unwrap();
        let ids = async |age| -> Vec<String> {
            other
                .pending(Duration::from_secs(age))
                .await
                .unwrap()
                .into_iter()
                .map(|booking| booking.booked.id)
                .collect()
        };
        assert_eq!(ids(0).await, [keys[0].as_str(), keys[2].as_str()]);
        assert!(ids(3600).await.is_empty());
        let aged = sqlx::query("UPDATE bookings SET created_at = '2026-01-01T00:00:00.000Z' WHERE id = $1");
        aged.bind(&keys[2]).execute(store.database.readers()).await.unwrap();
        assert_eq!(ids(3600).await, [keys[2].as_str()]);
    })
    .await;
}

#[tokio::test]
async fn pages_show_every_booking_once_the_newest_first() {
    each_database(async |url| {
        let [store, _] = replicas(url).await;
        for number in 1..=102 {
            store.begin(&format!("k-{number}"), &request(number), &quote(1)).await.unwrap();
        }
        let (mut before, mut grams, mut sizes) = (u64::MAX, Vec::new(), Vec::new());
        loop {
            let page = store.page(before).await.unwrap();
            sizes.push(page.items.len());
            grams.extend(page.items.iter().map(|booking| booking.grams));
            let Some(next) = page.next else { break };
            before = *next.key();
        }
        assert_eq!(sizes, [50, 50, 2]);
        assert_eq!(grams, (1..=102).rev().collect::<Vec<_>>());
    })
    .await;
}
