//! Stops in order, or at once.

use samspill_model::inventory::{Instance, Phase};
use samspill_model::plan::InstanceState;
use samspill_runtime::{Event, state};

use crate::mesh::{IDLE, Mesh, is_alive, workload};

/// Writes down that it was asked to end, and ends.
fn polite(name: &str) -> samspill_model::intent::Workload {
    let script = format!(
        "trap 'echo {name}: app >> $SAMSPILL_DATA_DIR/../../journal; exit 0' TERM; touch $SAMSPILL_DATA_DIR/up; \
         while :; do sleep 0.05; done"
    );
    workload(name, &script)
}

async fn trap_is_set(mesh: &Mesh, name: &str) {
    let up = mesh.state_dir().join("data").join(name).join("up");
    samspill_testkit::wait_until("the app catches SIGTERM", async || up.exists()).await;
}

#[tokio::test]
async fn an_instance_drains_then_its_app_ends_then_its_sidecar() {
    let workloads = [polite("a"), workload("b", IDLE)];
    let mut mesh = Mesh::serving(&workloads).await;
    let (a, b) = (mesh.ready("a-0").await, mesh.ready("b-0").await);
    trap_is_set(&mesh, "a").await;
    mesh.line.plan(2, &workloads[1..], InstanceState::Serve).await;
    mesh.until(|status| status.instances.len() == 1).await;
    assert_eq!(mesh.journal(), ["a-0: drain", "a: app", "a-0: SIGTERM"]);
    assert!(!is_alive(a.instance.pid.unwrap()) && !is_alive(a.instance.sidecar.unwrap().pid));
    assert_eq!(mesh.ready("b-0").await, b);
    mesh.line.inventory(|inventory| inventory.instances.len() == 1).await;
}

#[tokio::test]
async fn a_withdrawn_instance_runs_until_it_is_stopped() {
    let workloads = [polite("a")];
    let mut mesh = Mesh::serving(&workloads).await;
    let serving = mesh.ready("a-0").await;
    trap_is_set(&mesh, "a").await;
    let since = samspill_model::plan::Generation(2);
    mesh.line.plan(2, &workloads, InstanceState::Withdraw { since }).await;
    mesh.line.inventory(|inventory| inventory.generation == since).await;
    assert_eq!(mesh.ready("a-0").await, serving);
    mesh.line.plan(3, &workloads, InstanceState::Stop).await;
    mesh.until(|status| status.instances.is_empty()).await;
    assert_eq!(mesh.journal().len(), 3);
}

#[tokio::test]
async fn the_whole_ends_edge_first_and_controller_last() {
    let mut mesh = Mesh::serving(&[polite("a"), polite("b")]).await;
    let status = mesh.until(samspill_runtime::Status::is_ready).await;
    trap_is_set(&mesh, "a").await;
    trap_is_set(&mesh, "b").await;
    mesh.line.inventory(|inventory| inventory.instances.iter().filter(|instance| instance.ready).count() == 2).await;
    mesh.shutdown.interrupt();
    // The controller lives to hear of it.
    let is_stopping = |instance: &Instance| instance.phase == Phase::Stopping && !instance.ready;
    mesh.line.inventory(|inventory| inventory.instances.iter().any(is_stopping)).await;
    (&mut mesh.ended).await.unwrap().unwrap();
    while mesh.line.hear().await.is_some() {}

    let journal = mesh.journal();
    assert_eq!(journal[0], "edge: SIGTERM");
    for name in ["a", "b"] {
        let of_it = journal.iter().filter(|line| line.starts_with(name)).cloned().collect::<Vec<_>>();
        assert_eq!(of_it, [format!("{name}-0: drain"), format!("{name}: app"), format!("{name}-0: SIGTERM")]);
    }
    assert!(!is_alive(status.controller.unwrap()));
    assert_eq!(state::find(&mesh.state_dir()).unwrap(), None);
    assert!(!state::api_socket(&mesh.state_dir()).exists());
}

#[tokio::test]
async fn a_second_signal_waits_for_nobody() {
    let script = "trap '' TERM; touch $SAMSPILL_DATA_DIR/up; while :; do sleep 0.1; done";
    let mut stubborn = workload("a", script);
    stubborn.termination_grace_seconds = 100_000;
    let mut mesh = Mesh::serving(&[stubborn]).await;
    let pid = mesh.ready("a-0").await.instance.pid.unwrap();
    trap_is_set(&mesh, "a").await;
    mesh.shutdown.interrupt();
    mesh.event(|event| (event == Event::Stopping).then_some(())).await;
    mesh.shutdown.interrupt();
    (&mut mesh.ended).await.unwrap().unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn an_instance_whose_workload_has_changed_comes_back_as_the_new_one() {
    let mut mesh = Mesh::serving(&[workload("a", IDLE)]).await;
    mesh.ready("a-0").await;
    let mut changed = workload("a", IDLE);
    changed.version = "2".to_owned();
    mesh.line.plan(2, &[changed.clone()], InstanceState::Serve).await;
    let new = mesh.instance("a-0", |status| status.instance.version == "2" && status.instance.ready).await;
    // More copies are no change of one copy.
    changed.replicas = 5;
    mesh.line.plan(3, &[changed], InstanceState::Serve).await;
    mesh.line.inventory(|inventory| inventory.generation.0 == 3).await;
    assert_eq!(mesh.ready("a-0").await, new);
}
