//! The controller may die alone.

use samspill_model::intent::Intent;
use samspill_model::inventory::Inventory;
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::plan::{Generation, InstanceState};
use samspill_runtime::{Event, Runtime};

use crate::mesh::{IDLE, Mesh, kill, settings, workload};

#[tokio::test]
async fn a_new_controller_hears_the_inventory_and_then_the_files() {
    let workloads = [workload("a", IDLE)];
    let mut mesh = Mesh::start(&workloads).await;
    assert_eq!(mesh.line.hear().await, Some(ToController::Inventory(Inventory::default())));
    let Some(ToController::Apply(intent)) = mesh.line.hear().await else { panic!("the intent is next") };
    assert_eq!(intent.workloads, workloads);
}

#[tokio::test]
async fn a_controller_that_dies_before_it_has_the_files_is_told_them_again() {
    let mut mesh = Mesh::start(&[workload("a", IDLE)]).await;
    kill(mesh.until(|status| status.controller.is_some()).await.controller.unwrap());
    let mut line = mesh.next_line().await;
    assert!(matches!(line.hear().await, Some(ToController::Inventory(_))));
    assert!(matches!(line.hear().await, Some(ToController::Apply(_))));
}

#[tokio::test]
async fn without_a_controller_crashes_are_mended_and_it_returns_to_the_whole_inventory() {
    let workloads = [workload("a", IDLE)];
    let mut mesh = Mesh::serving(&workloads).await;
    let before = mesh.until(samspill_runtime::Status::is_ready).await;
    kill(before.controller.unwrap());
    // Its successor is there but does not speak before the app has crashed and come back.
    let app = mesh.ready("a-0").await;
    kill(app.instance.pid.unwrap());
    mesh.instance("a-0", |status| status.instance.ready && status.instance.restarts == 1).await;

    let mut line = mesh.next_line().await;
    let Some(ToController::Inventory(first)) = line.hear().await else { panic!("the inventory is first") };
    assert_eq!((first.generation, first.instances.len(), first.edge.is_some()), (Generation(1), 1, true));
    // The files are not said again: what comes next follows from this plan.
    line.plan(2, &workloads, InstanceState::Withdraw { since: Generation(2) }).await;
    loop {
        match line.hear().await.unwrap() {
            ToController::Inventory(inventory) if inventory.generation == Generation(2) => break,
            ToController::Inventory(_) => {}
            ToController::Apply(_) => panic!("`scale` lasts until the next `up`"),
        }
    }
}

#[tokio::test]
async fn an_older_plan_changes_nothing() {
    let workloads = [workload("a", IDLE)];
    let mut mesh = Mesh::start(&workloads).await;
    mesh.line.plan(5, &workloads, InstanceState::Serve).await;
    mesh.ready("a-0").await;
    mesh.line.plan(4, &[], InstanceState::Serve).await;
    let refused = mesh.event(|event| matches!(event, Event::Error { .. }).then(|| event.to_string())).await;
    assert_eq!(refused, "controller: its plan 4 is older than plan 5 and was refused");
    assert_eq!(mesh.until(|_| true).await.instances.len(), 1);
}

#[tokio::test]
async fn a_controller_that_talks_nonsense_is_replaced() {
    let mut mesh = Mesh::start(&[]).await;
    mesh.line.say(&ToRuntime::Applied(vec!["created a".to_owned()])).await;
    mesh.event(|event| (event == Event::Applied(vec!["created a".to_owned()])).then_some(())).await;
    mesh.line.say_raw("{\"plan\":1}\n").await;
    let reason = mesh
        .event(|event| match event {
            Event::Restart { name, reason, .. } if name == "controller" => Some(reason),
            _ => None,
        })
        .await;
    assert!(reason.starts_with("said something that cannot be understood"), "{reason}");
    mesh.next_line().await;
}

/// What a controller's last line says when its store is damaged.
const DAMAGED: &str = "error: controller.redb is damaged";

#[tokio::test]
async fn a_controller_that_cannot_begin_ends_everything_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hopeless"), format!("starting\n{DAMAGED}")).unwrap();
    let (runtime, mut events) = Runtime::start(settings(folder.path()), Intent::default()).unwrap();
    assert_eq!(runtime.run().await.unwrap_err().to_string(), DAMAGED);
    assert_eq!(events.recv().await, None, "the words say it all");
}

#[tokio::test]
async fn a_controller_that_cannot_return_takes_nothing_with_it() {
    let mut mesh = Mesh::serving(&[workload("a", IDLE)]).await;
    let before = mesh.until(samspill_runtime::Status::is_ready).await;
    std::fs::write(mesh.folder.path().join("hopeless"), DAMAGED).unwrap();
    kill(before.controller.unwrap());
    let last_line = |event| match event {
        Event::Restart { name, reason, last_line, .. } if name == "controller" && reason == "exited with code 78" => {
            last_line
        }
        _ => None,
    };
    assert_eq!(mesh.event(last_line).await, DAMAGED);
    std::fs::remove_file(mesh.folder.path().join("hopeless")).unwrap();
    mesh.line = mesh.next_line().await;
    assert_eq!(mesh.until(|status| status.controller.is_some()).await.instances, before.instances);
}
