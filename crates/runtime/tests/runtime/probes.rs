//! Readiness decides on traffic, liveness on restarts.

use samspill_model::intent::{Probe, ProbeCheck};
use samspill_runtime::Event;

use crate::mesh::{Mesh, is_alive, probe, python, workload};

/// Serves the files of a folder. It binds `PORT` itself, as a program does that knows nothing of us.
fn file_server(folder: &std::path::Path) -> String {
    format!(
        "import http.server, os\n\
         os.chdir({:?})\n\
         http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()",
        folder.display().to_string()
    )
}

#[tokio::test]
async fn an_app_is_ready_while_its_probe_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = python("a", &file_server(folder.path()));
    app.readiness = Some(probe(ProbeCheck::Http { path: "/ready".to_owned(), port: 8080, headers: Vec::new() }));
    let mut mesh = Mesh::serving(&[app]).await;
    mesh.instance("a-0", |status| status.instance.pid.is_some() && status.is_sidecar_ready && !status.instance.ready)
        .await;
    std::fs::write(folder.path().join("ready"), "").unwrap();
    mesh.ready("a-0").await;
    std::fs::remove_file(folder.path().join("ready")).unwrap();
    let status = mesh.instance("a-0", |status| !status.instance.ready).await;
    assert_eq!(status.instance.restarts, 0);
    mesh.event(|event| (event == Event::NotReady { name: "a-0".to_owned() }).then_some(())).await;
}

#[tokio::test]
async fn an_app_that_fails_its_liveness_probe_is_killed_after_its_grace_and_restarted() {
    // Never listens, and does not want to end.
    let mut app = workload("a", "trap '' TERM; while :; do sleep 0.1; done");
    app.liveness = Some(Probe { initial_delay_seconds: 1, ..probe(ProbeCheck::Tcp { port: 8080 }) });
    app.termination_grace_seconds = 1;
    let mut mesh = Mesh::serving(&[app]).await;
    let before = mesh.ready("a-0").await;
    let reason = mesh
        .event(|event| match event {
            Event::Restart { name, reason, .. } if name == "a-0" => Some(reason),
            _ => None,
        })
        .await;
    assert!(reason.starts_with("failed its liveness probe (cannot connect to 127.0.0.1:"), "{reason}");
    assert!(!is_alive(before.instance.pid.unwrap()));
    mesh.instance("a-0", |status| status.instance.restarts == 1).await;
}

#[tokio::test]
async fn everything_is_ready_when_the_last_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = python("slow", &file_server(folder.path()));
    slow.readiness = Some(probe(ProbeCheck::Http { path: "/ready".to_owned(), port: 8080, headers: Vec::new() }));
    let mut mesh = Mesh::serving(&[workload("quick", crate::mesh::IDLE), slow]).await;
    mesh.ready("quick-0").await;
    let status = mesh.until(|status| status.edge.as_ref().is_some_and(|edge| edge.ready)).await;
    assert!(!status.is_ready());
    std::fs::write(folder.path().join("ready"), "").unwrap();
    mesh.until(samspill_runtime::Status::is_ready).await;
    mesh.event(|event| (event == Event::AllReady).then_some(())).await;
}
