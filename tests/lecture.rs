//! The lecture's own manifest runs as it stands, and wrong ones are refused before anything starts.

use std::path::Path;
use std::process::Command;

use http::StatusCode;
use samspill_testkit::wait_until;

use crate::mesh::{Mesh, root, samspill};
use crate::web;

/// A service in another language that has never heard of us: Python's own web server.
const PROGRAM: &str = r#"#!/usr/bin/env python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["GREETING"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

const LOCAL: &str = r#"
images:
  myorg/mycontainer: { exec: ./app.py }
secrets:
  mysecrets: { GREETING: "hello from the secret" }
"#;

#[tokio::test]
async fn the_lectures_deployment_runs_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "app.py", PROGRAM);
    write(folder.path(), "samspill.local.yaml", LOCAL);
    let manifest = std::fs::read_to_string(root().join("tests/lecture-deployment.yaml")).unwrap();
    write(folder.path(), "deployment.yaml", &manifest);
    executable(&folder.path().join("app.py"));

    let mesh = Mesh::up(folder.path(), &[]).await;
    let instances = mesh.instances("myapp").await;
    assert_eq!(instances.len(), 2);
    for instance in instances {
        // Without a readiness probe a copy counts as ready as soon as it has started.
        let greets = async || {
            web::get(instance.address.unwrap(), "/").await.is_ok_and(|reply| reply.body == "hello from the secret")
        };
        wait_until("the app answers", greets).await;
    }
    // The lecture's file has no HTTPRoute: strangers are told so.
    let reply = mesh.get("/").await;
    assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::NOT_FOUND, "no-route"));
}

#[tokio::test]
async fn every_mistake_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "samspill.local.yaml", LOCAL);
    let manifest = std::fs::read_to_string(root().join("tests/lecture-deployment.yaml")).unwrap();
    let wrong = manifest.replace("replicas: 2", "replicsa: 2").replace("periodSeconds: 30", "periodSeconds: soon");
    write(folder.path(), "deployment.yaml", &wrong);
    let output = Command::new(samspill())
        .args(["up", "--http-port", "0", "--state-dir"])
        .arg(folder.path().join("state"))
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for word in ["deployment.yaml:8", "replicsa", "replicas", "periodSeconds"] {
        assert!(said.contains(word), "{word} in:\n{said}");
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
