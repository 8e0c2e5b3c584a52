//! What is written about a contract. The golden files are beside; `cargo insta review` shows what has changed.

use samspill::contract::{Api, Contract, Dialect};
use samspill::extract::{Json, Path, Query};
use samspill::{Call, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parcels::{ParcelsApi, server};

fn document(version: u32, dialect: Dialect) -> Value {
    ParcelsApi::openapi(version, dialect).unwrap().as_json().clone()
}

#[test]
fn the_documents_of_3_0() {
    for version in [1, 2] {
        insta::assert_snapshot!(format!("v{version}.json"), ParcelsApi::openapi(version, Dialect::V3_0).unwrap());
    }
}

#[test]
fn the_document_of_3_1() {
    insta::assert_snapshot!("v2-3.1.json", ParcelsApi::openapi(2, Dialect::V3_1).unwrap());
}

#[tokio::test]
async fn the_page() {
    let server = server().await;
    let answer = server.client().get(&samspill::test::call(), "/openapi/v1.html").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let page = answer.text().await.unwrap();
    // One element in a line.
    insta::assert_snapshot!("v1.html", page.replace("><", ">\n<"));
    server.stop().await;
}

#[tokio::test]
async fn the_documents_are_served_as_they_are_committed() {
    let server = server().await;
    for (path, dialect) in [("/openapi/v2.json", Dialect::V3_0), ("/openapi/v2-3.1.json", Dialect::V3_1)] {
        let answer = server.client().get(&samspill::test::call(), path).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.text().await.unwrap(), ParcelsApi::openapi(2, dialect).unwrap().to_string());
    }
    server.stop().await;
}

#[test]
fn there_is_no_document_of_a_version_that_is_not_there() {
    for version in [0, 3, u32::MAX] {
        assert_eq!((ParcelsApi::openapi(version, Dialect::V3_0), ParcelsApi::digest(version)), (None, None));
    }
}

/// Every place in a document, and what stands there.
fn walk(place: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                walk(&format!("{place}/{key}"), member, visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{place}/{index}"), item, visit);
            }
        }
        _ => {}
    }
}

#[test]
fn a_document_keeps_the_rules_of_its_dialect() {
    for (dialect, foreign) in [
        (Dialect::V3_0, &["const", "prefixItems", "patternProperties", "$defs", "examples", "$schema"][..]),
        (Dialect::V3_1, &["nullable", "$schema", "definitions"][..]),
    ] {
        for version in [1, 2] {
            let document = document(version, dialect);
            let mut names = Vec::new();
            walk("", &document, &mut |place, value| {
                let key = place.rsplit('/').next().unwrap();
                let is_property = place.contains("/properties/") && place.split('/').rev().nth(1) == Some("properties");
                assert!(is_property || !foreign.contains(&key), "{place}");
                match (key, value) {
                    ("operationId", name) => {
                        assert!(!names.contains(name), "{name} is there twice");
                        names.push(name.clone());
                    }
                    ("$ref", Value::String(reference)) => {
                        let found = document.pointer(reference.strip_prefix('#').unwrap());
                        assert!(found.is_some(), "{place}: {reference} leads nowhere");
                    }
                    ("type", Value::Array(_)) => assert_eq!(dialect, Dialect::V3_1, "{place}"),
                    ("type", Value::String(kind)) => assert!(kind != "null" || dialect == Dialect::V3_1, "{place}"),
                    ("items", items) if !is_property => assert!(items.is_object(), "{place}"),
                    _ => {}
                }
            });
            assert_eq!(
                names.len(),
                ParcelsApi::api().operations().iter().filter(|o| o.versions().any(|v| v == version)).count()
            );
        }
    }
}

/// The schema of one query parameter.
fn parameter<'a>(document: &'a Value, path: &str, name: &str) -> &'a Value {
    let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
    parameters.iter().find(|parameter| parameter["name"] == name).unwrap()
}

#[test]
fn a_parameter_is_left_out_and_never_null() {
    for dialect in [Dialect::V3_0, Dialect::V3_1] {
        let document = document(1, dialect);
        let to = parameter(&document, "/v1/quote", "to");
        assert_eq!((&to["required"], &to["description"]), (&json!(true), &json!("A country.")));
        let discount = parameter(&document, "/v1/quote", "discount_percent");
        assert_eq!(
            discount,
            &json!({
                "name": "discount_percent",
                "in": "query",
                "required": false,
                "description": "What was agreed upon, if anything was.",
                "schema": { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 },
            })
        );
        let speed = parameter(&document, "/v1/quote", "speed");
        assert_eq!(speed["schema"], json!({ "$ref": "#/components/schemas/Speed" }));
    }
}

#[test]
fn each_part_of_a_path_has_its_own_type() {
    for dialect in [Dialect::V3_0, Dialect::V3_1] {
        let document = document(2, dialect);
        let path = "/v2/parcels/{id}/events/{number}";
        let (id, number) = (parameter(&document, path, "id"), parameter(&document, path, "number"));
        assert_eq!((&id["schema"], &id["required"]), (&json!({ "type": "string" }), &json!(true)));
        assert_eq!(number["schema"], json!({ "type": "integer", "format": "uint64", "minimum": 0 }));
        let country = parameter(&document, "/v2/depots/{country}/{town}", "country");
        assert_eq!(country["description"], "Two letters.");
    }
}

mod digests {
    use super::*;

    pub(super) mod one {
        use super::*;

        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(crate) struct Thing {
            a: u8,
            b: u8,
        }

        #[samspill::api(name = "things", versions = 1..=1)]
        pub(crate) trait Things {
            #[get("/things/{id}")]
            async fn thing(&self, call: &Call, id: Path<u8>) -> Result<Json<Thing>, Problem>;
        }
    }

    /// Other words, another order, another implementation's names.
    pub(super) mod same {
        use super::*;

        /// A thing.
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(crate) struct Thing {
            b: u8,
            /// The first.
            a: u8,
        }

        /// Things.
        #[samspill::api(name = "things", versions = 1..=2, deprecated(v1, since = "2026-11-01"))]
        pub(crate) trait Things {
            /// One.
            #[get("/things/{id}")]
            async fn thing(&self, call: &Call, id: Path<u8>) -> Result<Json<Thing>, Problem>;
        }
    }

    pub(super) mod other {
        use super::*;

        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(crate) struct Thing {
            a: u8,
            b: u16,
        }

        #[samspill::api(name = "things", versions = 1..=1)]
        pub(crate) trait Things {
            #[get("/things/{id}")]
            async fn thing(&self, call: &Call, id: Path<u8>) -> Result<Json<Thing>, Problem>;
        }
    }
}

#[test]
fn a_digest_changes_when_the_api_does() {
    let digest = |api: &Api| api.digest(1).unwrap();
    let one = digest(digests::one::ThingsApi::api());
    assert_eq!(one.len(), 64);
    assert_eq!(one, digest(digests::same::ThingsApi::api()));
    assert_ne!(one, digest(digests::other::ThingsApi::api()));
    assert_ne!(ParcelsApi::digest(1), ParcelsApi::digest(2));
}

#[test]
fn a_name_of_rust_is_not_the_apis() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Filter {
        r#type: Option<String>,
    }

    #[samspill::api(name = "raw", versions = 1..=1)]
    trait Raw {
        #[get("/moves")]
        async fn r#move(&self, call: &Call, filter: Query<Filter>) -> Result<Json<u8>, Problem>;
    }

    let document = RawApi::openapi(1, Dialect::V3_0).unwrap();
    let operation = &document.as_json()["paths"]["/v1/moves"]["get"];
    assert_eq!((&operation["operationId"], &operation["parameters"][0]["name"]), (&json!("move"), &json!("type")));
    let _mock = MockRaw::new().with_move(|_call, _filter| Ok(Json(7)));
}
