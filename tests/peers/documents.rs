//! What others make of our OpenAPI documents: openapi-spec-validator reads them, progenitor makes clients of them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{file, python_program, target};
use crate::mesh::{Mesh, root};

/// A version of one of craterate's contracts.
pub(super) struct Contract {
    pub(super) service: String,
    /// `v1`.
    pub(super) version: String,
    committed: PathBuf,
}

/// All of them, by what is committed.
pub(super) fn contracts() -> Vec<Contract> {
    let mut contracts = Vec::new();
    for service in std::fs::read_dir(root().join("examples/craterate")).unwrap().flatten() {
        let folder = service.path().join("api/openapi");
        for document in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            contracts.push(Contract {
                service: service.file_name().into_string().unwrap(),
                version: document.file_stem().unwrap().to_str().unwrap().to_owned(),
                committed: document,
            });
        }
    }
    contracts.sort_by(|one, other| one.committed.cmp(&other.committed));
    assert!(contracts.len() >= 6, "{} documents are committed", contracts.len());
    contracts
}

#[tokio::test]
async fn every_document_is_valid() {
    let mesh = Mesh::craterate().await;
    let served = tempfile::tempdir().unwrap();
    let mut documents = Vec::new();
    for Contract { service, version, committed } in contracts() {
        for (dialect, openapi) in [("", "3.0.3"), ("-3.1", "3.1.0")] {
            let reply = mesh.get(&format!("/api/{service}/openapi/{version}{dialect}.json")).await;
            assert_eq!(reply.json()["openapi"], openapi, "{service} {version}{dialect}: {reply:?}");
            let path = served.path().join(format!("{service}-{version}{dialect}.json"));
            std::fs::write(&path, reply.body).unwrap();
            documents.push(path);
        }
        documents.push(committed);
    }
    let output = Command::new(python_program("openapi-spec-validator")).args(&documents).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // It has looked at each.
    assert_eq!(said.matches(": OK").count(), documents.len(), "{said}");
}

#[tokio::test]
async fn clients_that_progenitor_makes_work() {
    let client = build_client();
    let mesh = Mesh::craterate().await;
    let output = Command::new(client).arg(format!("http://{}", mesh.edge)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    let of = |part: &str, names: &[&str]| -> Value { names.iter().map(|name| seen[part][name].clone()).collect() };
    assert_eq!((&seen["booked"], &seen["repeat_is_same"]), (&json!(51), &json!(true)), "{seen:#}");
    assert_eq!(of("booking", &["from", "to", "grams", "status"]), json!(["NO", "SE", 2500, "confirmed"]), "{seen:#}");
    assert_eq!(seen["pages"], json!([50, 1]), "{seen:#}");
    assert_eq!(of("parcel", &["id", "status"]), json!([seen["booking"]["tracking_id"], "picked-up"]), "{seen:#}");
    assert_eq!(seen["parcel"]["events"][0]["place"], "Ålesund", "{seen:#}");
    let cents = &seen["booking"]["cents"];
    assert_eq!(of("payment", &["cents", "outstanding_cents"]), json!([cents, 0]), "{seen:#}");
    assert_eq!(of("invoice", &["cents", "paid_cents", "status"]), json!([cents, cents, "paid"]), "{seen:#}");
    assert_eq!((&seen["recorded"], &seen["counts"]["order-attempt"]), (&json!(202), &json!(52)), "{seen:#}");
    let cents = cents.as_u64().unwrap();
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    assert_eq!((&seen["quotes"][0]["price"], &seen["quotes"][1]["cents"]), (&json!(price), &json!(cents)), "{seen:#}");
    let refusal = &seen["no_booking"];
    assert_eq!(of("no_booking", &["status", "media_type"]), json!([404, "application/problem+json"]), "{seen:#}");
    assert_eq!(refusal["problem"]["type"], "urn:samspill:problem:no-booking", "{seen:#}");
}

/// The program in `progenitor/`, made anew where a document has changed.
fn build_client() -> PathBuf {
    let target = target().join("peers/progenitor");
    let client = target.join("debug/progenitor-judge");
    assert!(client.exists(), "{} is missing\n\nhint: cargo xtask peers install", client.display());
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(file("progenitor/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    client
}
