//! Load: bookings through the edge, several at a time, until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::{Request, StatusCode};
use tokio::task::JoinHandle;

use crate::web;

/// How many bookings are under way at any moment: enough to keep two cores busy, little enough for a debug build.
const CLIENTS: u32 = 4;

/// A valid booking.
pub(crate) fn parcel() -> serde_json::Value {
    serde_json::json!({"from": "NO", "to": "SE", "grams": 2500, "sender": "Kari", "recipient": "Astrid"})
}

/// Sends one booking.
pub(crate) async fn book(edge: SocketAddr, key: &str) -> web::Result<web::Reply> {
    let request = Request::post("/api/parcel-booking/v1/bookings")
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    web::send(edge, request.body(parcel().to_string())?).await
}

/// Bookings, one after the other by each of a few clients.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
    confirmed: Arc<AtomicU32>,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The ids of the bookings that were answered with 201.
    pub(crate) ids: Vec<String>,
    /// What went wrong at a first try, in words.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Begins; each booking is repeated with its own key until it is confirmed.
    pub(crate) fn begin(edge: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let confirmed = Arc::new(AtomicU32::new(0));
        let client = |number| tokio::spawn(client(edge, number, Arc::clone(&is_over), Arc::clone(&confirmed)));
        Self { clients: (0..CLIENTS).map(client).collect(), is_over: Arc::clone(&is_over), confirmed }
    }

    /// Waits until `count` more bookings have been confirmed.
    pub(crate) async fn progress(&self, count: u32) {
        let enough = self.confirmed.load(Ordering::Relaxed) + count;
        let is_enough = async || self.confirmed.load(Ordering::Relaxed) >= enough;
        samspill_testkit::wait_until("the load makes progress", is_enough).await;
    }

    /// Lets each client finish what it has begun.
    pub(crate) async fn end(self) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for client in self.clients {
            let outcome = client.await.unwrap();
            all.ids.extend(outcome.ids);
            all.failures.extend(outcome.failures);
        }
        all
    }
}

async fn client(edge: SocketAddr, number: u32, is_over: Arc<AtomicBool>, confirmed: Arc<AtomicU32>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        count += 1;
        let key = format!("load-{number}-{count}");
        let id = loop {
            match book(edge, &key).await {
                Ok(reply) if reply.status == StatusCode::CREATED => {
                    break reply.json()["id"].as_str().unwrap().to_owned();
                }
                Ok(reply) => outcome.failures.push(format!("{key}: {reply:?}")),
                Err(error) => outcome.failures.push(format!("{key}: {error}")),
            }
            samspill_testkit::pause().await;
        };
        outcome.ids.push(id);
        confirmed.fetch_add(1, Ordering::Relaxed);
    }
    outcome
}
