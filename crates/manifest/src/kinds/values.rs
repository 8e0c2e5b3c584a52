//! v1 ConfigMap and Secret: keys and values.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::read::{Fields, Located};

/// The values of a ConfigMap or Secret.
pub(crate) type Values = BTreeMap<String, Located<String>>;

pub(crate) fn config_map(fields: &mut Fields<'_>) -> Values {
    let values = fields.optional("data").map(|item| item.string_map()).unwrap_or_default();
    fields.cluster_only(&["immutable"]);
    fields.unsupported("binaryData", "values become variables, which are text: use `data`");
    values
}

/// `stringData` wins over `data`, as in Kubernetes.
pub(crate) fn secret(fields: &mut Fields<'_>) -> Values {
    let mut values = Values::new();
    for (key, item) in fields.optional("data").map(|item| item.entries()).unwrap_or_default() {
        let Some(encoded) = item.string() else { continue };
        let compact: String = encoded.value.split_whitespace().collect();
        let decoded = STANDARD.decode(compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.filter(|text| !text.contains('\0')) {
            Some(value) => {
                values.insert(key.value, Located { value, at: encoded.at });
            }
            None => item.report(
                item.mistake("the value is not the base64 form of a text")
                    .hint("write the text itself in `stringData`"),
            ),
        }
    }
    values.extend(fields.optional("stringData").map(|item| item.string_map()).unwrap_or_default());
    fields.optional("type").map(|item| item.string());
    fields.cluster_only(&["immutable"]);
    values
}
