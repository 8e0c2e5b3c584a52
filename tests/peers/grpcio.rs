//! Another language's gRPC inside of the mesh: Python's grpcio calls craterate's parcel-tracking by name.

use std::path::Path;

use http::StatusCode;
use samspill_testkit::wait_until;
use serde_json::json;

use super::{file, python_program};
use crate::mesh::{Mesh, root, samspill};

#[tokio::test]
async fn python_calls_parcel_tracking_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_manifests(folder.path());
    let mesh = Mesh::up(folder.path(), &[]).await;

    // As gRPC does by itself with `http_proxy`, and by the sidecar's address.
    for way in ["proxy", "authority"] {
        let reply = mesh.get(&format!("/{way}/parcel-{way}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{way}: {reply:?}");
        let expected = json!({
            "created": format!("parcel-{way}"),
            "watched": [1, 2, 3],
            "has_ended": true,
            "places": ["Ålesund", "Ålesund", "Ålesund"],
            "refusal": "FAILED_PRECONDITION",
        });
        assert_eq!(reply.json(), expected, "{way}");

        // From the edge through Python to parcel-tracking it is one trace, in which each hop has two proxies.
        let trace_id = reply.header("traceresponse").split('-').nth(1).unwrap();
        let is_whole = async || {
            let waterfall = String::from_utf8(mesh.samspill(&["trace", trace_id]).stdout).unwrap();
            let hop = ["caller", "parcel-tracking", "outbound", "inbound", "Tracking/Watch", "Tracking/Get"];
            hop.iter().all(|word| waterfall.contains(word))
        };
        wait_until("the trace goes through Python", is_whole).await;
    }

    for way in ["proxy", "authority"] {
        let reply = mesh.get(&format!("/{way}/about")).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, about()), "{way}: {reply:?}");
    }

    // It did so under an identity of its own.
    let certificates = mesh.said(&["get", "certificates"]);
    assert!(certificates.contains("spiffe://samspill.local/ns/craterate/sa/caller"), "{certificates}");
}

/// What reflection, health and errors of parcel-tracking say.
fn about() -> serde_json::Value {
    json!({
        "services": [
            "craterate.tracking.v1.Tracking",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ],
        "methods": ["Create", "Append", "Get", "Watch"],
        "health": { "": "SERVING", "craterate.tracking.v1.Tracking": "SERVING" },
        "unknown": {
            "code": "NOT_FOUND",
            "message": "No such parcel",
            "info": {
                "reason": "NO_PARCEL",
                "domain": "parcel-tracking",
                "metadata": { "type": "urn:samspill:problem:no-parcel" },
            },
        },
        "wrong": {
            "code": "INVALID_ARGUMENT",
            "message": "Some fields are wrong; id: must be 1 to 64 letters, digits and hyphens; grams: must be 1 to 31500",
            "fields": { "id": "must be 1 to 64 letters, digits and hyphens", "grams": "must be 1 to 31500" },
        },
    })
}

/// craterate's parcel-tracking, as it is, and a caller that is a Python program.
fn write_manifests(folder: &Path) {
    let tracking = root().join("examples/craterate/parcel-tracking/parcel-tracking.yaml");
    for path in [tracking, file("caller.yaml"), file("caller.py")] {
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let local = json!({ "images": {
        "craterate/parcel-tracking": {
            "exec": samspill().with_file_name("parcel-tracking"),
            "env": { "DATABASE_URL": "sqlite://$(SAMSPILL_DATA_DIR)/tracking.db" },
        },
        "tests/caller": {
            "exec": python_program("python"),
            "env": { "PROTOS": root().join("examples/craterate/parcel-tracking/api/proto") },
        },
    } });
    // JSON is YAML.
    std::fs::write(folder.join("samspill.local.yaml"), local.to_string()).unwrap();
}
