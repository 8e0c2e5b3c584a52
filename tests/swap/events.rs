//! Load on statistics itself: events and counts, through the edge, until told to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::StatusCode;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::web;

/// How many ask at any moment.
const CLIENTS: u32 = 2;

/// Clients that record an event, then look whether it is counted, and so on.
pub(super) struct Events {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Outcome>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How many events were answered with 202.
    pub(super) accepted: usize,
    /// Whatever else was answered, in words. Nothing is tried again.
    pub(super) failures: Vec<String>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    answers: AtomicU32,
    /// The phase, and which workloads have answered what was asked in it.
    phase: Mutex<(u32, BTreeSet<String>)>,
}

impl Events {
    pub(super) fn begin(edge: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = (0..CLIENTS).map(|_| tokio::spawn(client(edge, Arc::clone(&shared))));
        Self { clients: clients.collect(), shared }
    }

    /// From now on, only what is asked from now on says who answers.
    pub(super) fn begin_phase(&self) {
        let mut phase = self.shared.phase.lock().unwrap();
        *phase = (phase.0 + 1, BTreeSet::new());
    }

    /// The workloads that have answered in this phase.
    pub(super) fn answered_by(&self) -> BTreeSet<String> {
        self.shared.phase.lock().unwrap().1.clone()
    }

    /// Waits for `count` more answers.
    pub(super) async fn progress(&self, count: u32) {
        let enough = self.shared.answers.load(Ordering::Relaxed) + count;
        let is_enough = async || self.shared.answers.load(Ordering::Relaxed) >= enough;
        samspill_testkit::wait_until("statistics answers", is_enough).await;
    }

    pub(super) async fn end(self) -> Outcome {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for client in self.clients {
            let outcome = client.await.unwrap();
            all.accepted += outcome.accepted;
            all.failures.extend(outcome.failures);
        }
        all
    }
}

async fn client(edge: SocketAddr, shared: Arc<Shared>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut counted = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let event = json!({"type": "order-attempt"});
        let recorded = shared.answer(web::post(edge, "/api/statistics/v1/events", &event)).await;
        match recorded {
            Ok(reply) if reply.status == StatusCode::ACCEPTED => outcome.accepted += 1,
            other => outcome.failures.push(format!("{other:?}")),
        }
        let counts = shared.answer(web::get(edge, "/api/statistics/v1/counts")).await;
        match counts {
            Ok(reply) if reply.status == StatusCode::OK => {
                let count = reply.json()["order-attempt"].as_u64().unwrap();
                // Ours is among them, whoever has counted it and whoever tells.
                if count <= counted {
                    outcome.failures.push(format!("{count} after {counted}: {reply:?}"));
                }
                counted = count;
            }
            other => outcome.failures.push(format!("{other:?}")),
        }
    }
    outcome
}

impl Shared {
    async fn answer(&self, asking: impl Future<Output = web::Result<web::Reply>>) -> web::Result<web::Reply> {
        let asked_in = self.phase.lock().unwrap().0;
        let reply = asking.await?;
        self.answers.fetch_add(1, Ordering::Relaxed);
        // The name of an instance is its workload's and a number.
        let instance = reply.header("x-craterate-instance");
        let workload = instance.rsplit_once('-').map_or(instance, |(workload, _number)| workload).to_owned();
        let mut phase = self.phase.lock().unwrap();
        if phase.0 == asked_in {
            phase.1.insert(workload);
        }
        Ok(reply)
    }
}
