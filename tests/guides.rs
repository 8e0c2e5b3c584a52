//! What the guides show works as it stands there.

use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use samspill_testkit::wait_until;

use crate::mesh::{Mesh, root};

#[tokio::test]
async fn the_first_program_of_joining_without_rust_joins() {
    let guide = std::fs::read_to_string(root().join("docs/guides/joining-without-rust.md")).unwrap();
    let blocks = |language: &str| {
        let open = format!("```{language}\n");
        let blocks = guide.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
        blocks.collect::<Vec<_>>()
    };
    let (programs, files) = (blocks("python"), blocks("yaml"));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("hello.py", &programs[0]), ("hello.yaml", &files[0]), ("samspill.local.yaml", &files[1])] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::set_permissions(folder.path().join("hello.py"), std::fs::Permissions::from_mode(0o755)).unwrap();

    let mesh = Mesh::up(folder.path(), &[]).await;
    let answer = mesh.get("/ask").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.body.starts_with("Hello from hello-"), "{answer:?}");
    // The call that it made is part of the trace in which it was called.
    let id = answer.header("traceresponse").split('-').nth(1).unwrap().to_owned();
    wait_until("its call is in the trace", async || {
        let trace = mesh.samspill(&["trace", &id]);
        // The edge's, and its own.
        String::from_utf8_lossy(&trace.stdout).matches("→ GET hello ").count() == 2
    })
    .await;
}
