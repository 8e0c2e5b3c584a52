//! How changes are shown: for people, and as JSON.

use samspill_compat::Change;
use serde_json::{Value, json};

/// One change in a few lines, indented. The last says what to do, where something is to be done.
pub(super) fn lines(change: &Change, instead: Option<&str>) -> String {
    let mut text = format!("  {}: {}\n    at {}\n", change.rule.name(), change.place(), change.pointer);
    let turn = match (&change.was, &change.is) {
        (None, None) => None,
        (Some(was), Some(is)) => Some(format!("{was} → {is}")),
        (Some(was), None) => Some(format!("{was} → gone")),
        (None, Some(is)) => Some(format!("new: {is}")),
    };
    for line in turn.into_iter().chain(instead.map(|instead| format!("instead: {instead}"))) {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

/// The fields of one change.
pub(super) fn fields(change: &Change) -> Value {
    json!({
        "rule": change.rule.name(),
        "effect": change.effect.name(),
        "pointer": change.pointer,
        "place": change.place(),
        "was": change.was,
        "is": change.is,
    })
}

/// `1 document`, `2 documents`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Why there is nothing to show.
pub(super) const NO_DOCUMENTS: &str =
    "there are no contracts: no openapi/NAME/v1.json, no openapi/v1.json, and no .proto file below a folder proto/";
