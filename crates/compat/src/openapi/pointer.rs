//! Places in a document, and the references that lead to them.

use serde_json::Value;

/// A value with its place: a JSON pointer as in `$ref`, `#/components/schemas/Quote`.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

impl<'a> Found<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: "#".to_owned() }
    }

    /// A member, where there is one.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(Self { value, pointer: join(&self.pointer, key) })
    }

    /// The members of an object. Of anything else: none.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(key, value)| (key.as_str(), Self { value, pointer: join(&self.pointer, key) }))
    }

    /// The elements of an array. Of anything else: none.
    pub(super) fn elements(&self) -> impl Iterator<Item = Self> {
        let elements = self.value.as_array().into_iter().flatten().enumerate();
        elements.map(|(index, value)| Self { value, pointer: join(&self.pointer, &index.to_string()) })
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value.get(key)?.as_str()
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.value.get(key) == Some(&Value::Bool(true))
    }

    /// Follows `$ref`, over several steps if need be. [`check`] has refused a document in which one leads nowhere.
    pub(super) fn resolve(&self, root: &'a Value) -> Self {
        let mut here = self.clone();
        for _ in 0..MAX_STEPS {
            let Some(reference) = here.text("$ref") else { return here };
            let Some(value) = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else {
                return here;
            };
            here = Self { value, pointer: reference.to_owned() };
        }
        here
    }
}

/// A chain of references that is longer is taken for a circle.
const MAX_STEPS: usize = 64;

/// RFC 6901 §3: `~` and `/` are written `~0` and `~1`.
pub(super) fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Members whose values are data, not parts of the description.
const DATA: [&str; 5] = ["example", "examples", "default", "enum", "const"];

/// Members whose keys are names chosen by the author: there, `example` is a name like any other.
const NAMED: [&str; 14] = [
    "properties",
    "schemas",
    "responses",
    "parameters",
    "requestBodies",
    "headers",
    "securitySchemes",
    "paths",
    "content",
    "callbacks",
    "links",
    "encoding",
    "variables",
    "mapping",
];

/// The first `$ref` that does not lead to a place in the same document, with its own place.
pub(super) fn check(root: &Value) -> Result<(), (String, String)> {
    let mut pending = vec![(Found::root(root), false)];
    while let Some((here, keys_are_names)) = pending.pop() {
        if !keys_are_names && let Some(reference) = here.text("$ref") {
            let end = here.resolve(root);
            if end.text("$ref").is_some() {
                return Err((join(&here.pointer, "$ref"), reference.to_owned()));
            }
        }
        for (key, member) in here.members() {
            let is_data = !keys_are_names && (DATA.contains(&key) || key.starts_with("x-"));
            if !is_data {
                pending.push((member, !keys_are_names && NAMED.contains(&key)));
            }
        }
        pending.extend(here.elements().map(|element| (element, false)));
    }
    Ok(())
}
