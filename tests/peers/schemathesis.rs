//! schemathesis sends every service what its document allows and what it forbids, and looks at the answers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::documents::{Contract, contracts};
use super::{file, python_program};
use crate::load::book;
use crate::mesh::Mesh;

/// What must hold of each answer. The last is our own, in `schemathesis_hooks.py`, and takes the place of `positive_data_acceptance`,
/// which knows no rules of a business: a sum that is larger than what is left to pay fits the document, and is refused.
/// The others that schemathesis has are about credentials and deletion; craterate has neither.
const CHECKS: [&str; 11] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ensure_resource_availability",
    "refusals_are_documented",
];

/// Per operation and phase; more than three times as many have found nothing more.
const EXAMPLES: &str = "40";

/// More than one page of bookings holds, so that there is a cursor.
const BOOKINGS: usize = 51;

#[tokio::test]
async fn schemathesis_finds_no_answer_outside_of_the_documents() {
    let mesh = Mesh::craterate().await;
    let folder = tempfile::tempdir().unwrap();
    let known = known(&mesh).await;

    let mut failures = String::new();
    for contract in contracts() {
        write_settings(folder.path(), &contract.service, &known);
        let output = run(&mesh, folder.path(), &contract);
        if !output.status.success() {
            failures.push_str(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        }
    }
    assert!(failures.is_empty(), "{failures}");

    // It was no mere series of 404: something has happened to a parcel.
    let parcel = format!("/api/parcel-tracking/v1/parcels/{}", known["tracking_id"][0].as_str().unwrap());
    let parcel = mesh.get(&parcel).await.json();
    assert_ne!(parcel["events"], json!([]), "{parcel}");
}

fn run(mesh: &Mesh, folder: &Path, Contract { service, version, .. }: &Contract) -> std::process::Output {
    let base = format!("http://{}/api/{service}", mesh.edge);
    Command::new(python_program("schemathesis"))
        .current_dir(folder)
        .env("SCHEMATHESIS_HOOKS", file("schemathesis_hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["run", &format!("{base}/openapi/{version}.json")])
        // It takes `..` in `servers` as seen from the host, not from the document (OpenAPI 3.0.3, Server Object).
        .args(["--url", &base])
        .args(["--checks", &CHECKS.join(",")])
        .args(["--seed", "1", "--max-examples", EXAMPLES, "--generation-database", "none"])
        .args(["--continue-on-failure", "--warnings", "off", "--no-color"])
        .output()
        .unwrap()
}

/// Ids and a cursor that exist: nobody finds them by chance.
async fn known(mesh: &Mesh) -> Value {
    for number in 0..BOOKINGS {
        let reply = book(mesh.edge, &format!("known-{number}")).await.unwrap();
        assert!(reply.status.is_success(), "{reply:?}");
    }
    let page = mesh.get("/api/parcel-booking/v1/bookings").await.json();
    let of = |name: &str| -> Value { (0..3).map(|index| page["items"][index][name].clone()).collect() };
    json!({ "id": of("id"), "tracking_id": of("tracking_id"), "invoice_id": of("invoice_id"), "next": [page["next"]] })
}

/// Half of the time, a parameter of this service is something known.
fn write_settings(folder: &Path, service: &str, known: &Value) {
    let parameters = match service {
        "parcel-booking" => [("path.id", "id"), ("query.cursor", "next")].as_slice(),
        "parcel-tracking" => &[("path.id", "tracking_id")],
        "invoicing" => &[("path.id", "invoice_id")],
        _ => &[],
    };
    let mut settings = String::new();
    for (parameter, name) in parameters {
        settings.push_str(&format!("dictionaries.{name}.values = {}\n", known[name]));
        settings.push_str(&format!("parameters.\"{parameter}\" = {{ dictionary = \"{name}\", probability = 0.5 }}\n"));
    }
    std::fs::write(folder.join("schemathesis.toml"), settings).unwrap();
}
