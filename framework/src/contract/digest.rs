//! A version's digest: equal for two documents that mean the same.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Document;

/// SHA-256 of a document without its documentation, in hexadecimal. `serde_json` writes members in the order of their
/// names, so the same meaning has the same text.
pub(super) fn of(document: &Document) -> String {
    let mut meaning = document.as_json().clone();
    strip(&mut meaning);
    if let Some(document) = meaning.as_object_mut() {
        document.remove("info");
        document.remove("servers");
    }
    let digest = Sha256::digest(meaning.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the documentation out. Members of these objects are names, not keywords.
fn strip(value: &mut Value) {
    const NAMED: [&str; 6] = ["properties", "schemas", "paths", "responses", "headers", "content"];
    match value {
        Value::Object(members) => {
            for keyword in ["description", "summary", "title", "example", "examples", "deprecated"] {
                members.remove(keyword);
            }
            for (key, member) in members {
                match member {
                    // The order of fields and variants in the source means nothing.
                    Value::Array(names) if key == "required" || key == "enum" => names.sort_by_key(Value::to_string),
                    Value::Object(named) if NAMED.contains(&key.as_str()) => strip_each(named),
                    member => strip(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn strip_each(named: &mut Map<String, Value>) {
    named.values_mut().for_each(strip);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documentation_is_no_meaning_and_a_property_called_title_is() {
        let mut documented =
            json!({ "description": "x", "properties": { "title": { "type": "string", "title": "T" } } });
        strip(&mut documented);
        assert_eq!(documented, json!({ "properties": { "title": { "type": "string" } } }));
    }

    #[test]
    fn the_order_of_fields_is_no_meaning() {
        let mut value = json!({ "required": ["b", "a"], "enum": [2, "1"], "prefixItems": [2, 1] });
        strip(&mut value);
        assert_eq!(value, json!({ "required": ["a", "b"], "enum": ["1", 2], "prefixItems": [2, 1] }));
    }
}
