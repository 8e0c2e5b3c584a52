//! Servers die, and users do not notice: `kill -9` of each kind of process, under load.
//!
//! What is lost is what was in flight; each client repeats its booking with its own key until 201. In the end there is
//! exactly one row of each kind for each 201.

use http::StatusCode;
use samspill_testkit::wait_until;

use crate::load::{Load, book};
use crate::mesh::{Mesh, is_alive};
use crate::{ledger, web};

/// Confirmed bookings before and after each kill.
const SOME: u32 = 15;

#[tokio::test]
async fn an_app_a_sidecar_and_the_edge_may_die_under_load() {
    let mesh = Mesh::craterate().await;
    let load = Load::begin(mesh.edge);
    load.progress(SOME).await;
    for service in ["shipping-cost-calculator", "parcel-booking", "invoicing", "parcel-tracking", "statistics"] {
        let victim = &mesh.instances(service).await[0];
        mesh.kill(victim.pid.unwrap()).await;
        let restarted = async || mesh.instances(service).await[0].restarts > victim.restarts;
        wait_until("the app has been restarted", restarted).await;
        mesh.ready().await;
        load.progress(SOME).await;
    }
    for service in ["parcel-booking", "invoicing"] {
        let victim = &mesh.instances(service).await[1];
        mesh.kill(victim.sidecar_pid.unwrap()).await;
        let restarted = async || mesh.instances(service).await[1].sidecar_restarts > victim.sidecar_restarts;
        wait_until("the sidecar has been restarted", restarted).await;
        mesh.ready().await;
        load.progress(SOME).await;
    }
    let edge = mesh.status().await.edge.unwrap().pid.unwrap();
    mesh.kill(edge).await;
    mesh.ready().await;
    load.progress(SOME).await;
    let outcome = load.end().await;
    ledger::check(&mesh, &outcome.ids).await;
}

#[tokio::test]
async fn the_controller_may_die_and_no_request_notices() {
    let mesh = Mesh::craterate().await;
    let load = Load::begin(mesh.edge);
    load.progress(SOME).await;
    for _ in 0..3 {
        let controller = mesh.status().await.controller_pid.unwrap();
        mesh.kill(controller).await;
        // Nobody has asked for a price on the page yet: the calculator's name is new to its sidecar.
        let page = web::get(mesh.edge, "/?from=NO&to=SE&weight=2.5").await.unwrap();
        assert!(page.status == StatusCode::OK && page.body.contains("144.00"), "{page:?}");
        load.progress(SOME).await;
        mesh.ready().await;
    }
    let outcome = load.end().await;
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
    ledger::check(&mesh, &outcome.ids).await;
}

#[tokio::test]
async fn forty_bookings_right_after_the_death_of_an_app_succeed_at_the_first_try() {
    let mesh = Mesh::craterate().await;
    // Every sidecar knows every name, and has connections to what is about to die.
    for warm in 0..8 {
        assert_eq!(book(mesh.edge, &format!("warm-{warm}")).await.unwrap().status, StatusCode::CREATED);
    }
    for (round, service) in ["invoicing", "shipping-cost-calculator", "parcel-booking"].into_iter().enumerate() {
        let victim = mesh.instances(service).await[1].pid.unwrap();
        mesh.kill(victim).await;
        for count in 0..40 {
            let reply = book(mesh.edge, &format!("after-{round}-{count}")).await.unwrap();
            assert_eq!(reply.status, StatusCode::CREATED, "{service}, booking {count}: {reply:?}");
        }
        mesh.ready().await;
    }
}

#[tokio::test]
async fn kill_9_of_up_leaves_no_process() {
    let mesh = Mesh::craterate().await;
    let processes = mesh.processes();
    assert!(processes.len() > 24, "{processes:?}");
    mesh.kill(mesh.pid()).await;
    wait_until("every process is gone", async || !processes.iter().any(|pid| is_alive(*pid))).await;
}
