//! What ends by itself is started again, alone.

use std::time::Duration;

use samspill_model::inventory::Phase;
use samspill_runtime::Event;
use samspill_testkit::wait_until;

use crate::mesh::{IDLE, Mesh, is_alive, kill, workload};

fn restart(event: Event) -> Option<(String, String, Option<String>, Duration)> {
    match event {
        Event::Restart { name, reason, last_line, delay } => Some((name, reason, last_line, delay)),
        _ => None,
    }
}

#[tokio::test]
async fn a_killed_app_is_back_at_once_and_its_sidecar_does_not_notice() {
    let mut mesh = Mesh::serving(&[workload("a", "echo started; exec sleep 1000")]).await;
    let before = mesh.ready("a-0").await;
    kill(before.instance.pid.unwrap());
    let after = mesh.instance("a-0", |status| status.instance.ready && status.instance.restarts == 1).await;
    assert_ne!(after.instance.pid, before.instance.pid);
    assert_eq!(after.instance.sidecar, before.instance.sidecar);
    assert_eq!(after.instance.ports, before.instance.ports);
    let (name, reason, last_line, delay) = mesh.event(restart).await;
    assert_eq!(
        (&*name, &*reason, last_line.as_deref(), delay),
        ("a-0", "was ended by signal 9 (SIGKILL)", None, Duration::ZERO)
    );
}

#[tokio::test]
async fn a_killed_sidecar_is_back_with_a_new_token_and_the_app_does_not_notice() {
    let mut mesh = Mesh::serving(&[workload("a", IDLE)]).await;
    let before = mesh.ready("a-0").await;
    let first = before.instance.sidecar.unwrap();
    kill(first.pid);
    let after = mesh.instance("a-0", |status| status.instance.ready && status.sidecar_restarts == 1).await;
    let second = after.instance.sidecar.unwrap();
    assert_ne!(second.pid, first.pid);
    assert_ne!(second.token_sha256, first.token_sha256);
    assert_eq!((after.instance.pid, after.instance.restarts), (before.instance.pid, 0));
    assert_eq!(after.admin, before.admin);
}

#[tokio::test]
async fn a_program_that_keeps_ending_backs_off() {
    let mut mesh = Mesh::serving(&[workload("a", "echo no config >&2; exit 3")]).await;
    let crash = |delay| ("a-0".to_owned(), "exited with code 3".to_owned(), Some("no config".to_owned()), delay);
    assert_eq!(mesh.event(restart).await, crash(Duration::ZERO));
    assert_eq!(mesh.event(restart).await, crash(Duration::from_secs(10)));
    let status = mesh.instance("a-0", |status| status.instance.phase == Phase::BackOff).await;
    assert!(!status.instance.ready && status.instance.pid.is_none());
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_told_in_words() {
    let mut missing = workload("a", "");
    missing.program.executable = "/no/such/program".into();
    let mut mesh = Mesh::serving(&[missing]).await;
    let (name, reason, last_line, _) = mesh.event(restart).await;
    assert_eq!((&*name, &*reason), ("a-0", "exited with code 127"));
    assert_eq!(last_line.as_deref(), Some("cannot execute `/no/such/program`"));
}

#[tokio::test]
async fn nothing_of_a_crashed_app_is_left() {
    let mut mesh = Mesh::serving(&[workload("a", "sleep 1000 & echo $!; wait")]).await;
    let pid = mesh.ready("a-0").await.instance.pid.unwrap();
    let log = mesh.state_dir().join("logs/a-0.log");
    let grandchild = async || std::fs::read_to_string(&log).ok()?.lines().next()?.parse::<u32>().ok();
    wait_until("the app has started its child", async || grandchild().await.is_some()).await;
    let grandchild = grandchild().await.unwrap();
    kill(pid);
    mesh.instance("a-0", |status| status.instance.restarts == 1).await;
    wait_until("its child is gone", async || !is_alive(grandchild)).await;
}
