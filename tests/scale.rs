//! Instances come and go in flight, and nothing is lost.

use samspill_testkit::wait_until;

use crate::ledger;
use crate::load::Load;
use crate::mesh::Mesh;

/// Confirmed bookings between two changes.
const SOME: u32 = 10;

#[tokio::test]
async fn scaling_up_and_down_under_load_loses_nothing() {
    let mesh = Mesh::craterate().await;
    let load = Load::begin(mesh.edge);
    load.progress(SOME).await;
    for (service, replicas) in [
        ("invoicing", 1),
        ("parcel-tracking", 1),
        ("parcel-booking", 1),
        ("shipping-cost-calculator", 3),
        ("shipping-cost-calculator", 1),
        ("parcel-booking", 2),
        ("statistics", 1),
        ("invoicing", 2),
    ] {
        mesh.said(&["scale", service, "--replicas", &replicas.to_string()]);
        let is_reached = async || {
            let instances = mesh.instances(service).await;
            instances.len() == replicas && instances.iter().all(|instance| instance.ready)
        };
        wait_until("the wanted replicas run", is_reached).await;
        load.progress(SOME).await;
    }
    let outcome = load.end().await;
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
    ledger::check(&mesh, &outcome.ids).await;
}
