//! The small part of JSON Schema that a conformance suite needs: a value that fits, and whether one does.
//!
//! It reads what our own documents are made of; a keyword that it does not know constrains nothing.

use serde_json::Value;

/// How deep a type may contain itself before an example gives up.
const MAX_DEPTH: usize = 16;

/// The schemas of one document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    pub(super) fn of(document: &'a Value) -> Self {
        Self(&document["components"]["schemas"])
    }

    fn resolve(self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => self.resolve(&self.0[name]),
            None => schema,
        }
    }

    /// The smallest value that fits, or the one that the author gave as an example.
    pub(super) fn example(self, schema: &Value) -> Value {
        self.example_at(schema, 0)
    }

    fn example_at(self, schema: &Value, depth: usize) -> Value {
        let schema = match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => &self.0[name],
            None => schema,
        };
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        for said in
            [&schema["example"], &schema["examples"][0], &schema["default"], &schema["const"], &schema["enum"][0]]
        {
            if !said.is_null() {
                return said.clone();
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().map(|part| self.example_at(part, depth + 1));
            return parts.reduce(merged).unwrap_or(Value::Null);
        }
        for choice in ["anyOf", "oneOf"] {
            if !schema[choice][0].is_null() {
                return self.example_at(&schema[choice][0], depth + 1);
            }
        }
        match kinds(schema).first().copied() {
            Some("string") => "a".repeat(length(&schema["minLength"]).max(1)).into(),
            Some("integer") => schema["minimum"].as_i64().unwrap_or_default().max(1).into(),
            Some("number") => schema["minimum"].as_f64().unwrap_or_default().max(1.0).into(),
            Some("boolean") => true.into(),
            Some("array") => vec![self.example_at(&schema["items"], depth + 1); length(&schema["minItems"])].into(),
            Some("null") => Value::Null,
            _ => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let member = |name: &str| (name.to_owned(), self.example_at(&schema["properties"][name], depth + 1));
                Value::Object(required.map(member).collect())
            }
        }
    }

    /// Whether a value fits.
    ///
    /// # Errors
    /// Where it does not, and why.
    pub(super) fn check(self, value: &Value, schema: &'a Value) -> Result<(), String> {
        self.check_at("", value, schema)
    }

    fn check_at(self, place: &str, value: &Value, schema: &'a Value) -> Result<(), String> {
        let schema = self.resolve(schema);
        let wrong = |problem: String| Err(format!("{}: {problem}", if place.is_empty() { "the body" } else { place }));
        if value.is_null() && schema["nullable"] == true {
            return Ok(());
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check_at(place, value, part)?;
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(parts) = schema[choice].as_array()
                && !parts.iter().any(|part| self.check_at(place, value, part).is_ok())
            {
                return wrong(format!("{value} is none of the {} things that it may be", parts.len()));
            }
        }
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            return wrong(format!("{value} is not one of {}", schema["enum"]));
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(value, kind)) {
            return wrong(format!("{value} is not of type {}", kinds.join(" or ")));
        }
        self.check_bounds(value, schema).or_else(wrong)?;
        self.check_members(place, value, schema)
    }

    fn check_bounds(self, value: &Value, schema: &Value) -> Result<(), String> {
        let bound = |keyword: &str| schema[keyword].as_f64();
        let number = value.as_f64();
        let size = match value {
            Value::String(text) => Some(text.chars().count()),
            Value::Array(items) => Some(items.len()),
            _ => None,
        };
        let (least, most) = if value.is_array() { ("minItems", "maxItems") } else { ("minLength", "maxLength") };
        if number.zip(bound("minimum")).is_some_and(|(number, least)| number < least)
            || number.zip(bound("maximum")).is_some_and(|(number, most)| number > most)
            || size.is_some_and(|size| size < length(&schema[least]))
            || size.is_some_and(|size| !schema[most].is_null() && size > length(&schema[most]))
        {
            return Err(format!("{value} is out of bounds"));
        }
        Ok(())
    }

    fn check_members(self, place: &str, value: &Value, schema: &'a Value) -> Result<(), String> {
        match value {
            Value::Object(members) => {
                for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !members.contains_key(name) {
                        return Err(format!("{place}.{name}: is missing"));
                    }
                }
                for (name, member) in members {
                    let schema = match schema["properties"].get(name) {
                        Some(property) => property,
                        None if schema["additionalProperties"] == false => {
                            return Err(format!("{place}.{name}: is not in the document"));
                        }
                        None => &schema["additionalProperties"],
                    };
                    self.check_at(&format!("{place}.{name}"), member, schema)?;
                }
                Ok(())
            }
            Value::Array(items) => {
                let check = |(index, item)| self.check_at(&format!("{place}[{index}]"), item, &schema["items"]);
                items.iter().enumerate().try_for_each(check)
            }
            _ => Ok(()),
        }
    }
}

/// `type` is one name, or in the 3.1 dialect several.
fn kinds(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn length(bound: &Value) -> usize {
    bound.as_u64().and_then(|bound| usize::try_from(bound).ok()).unwrap_or_default()
}

fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, Value::Null) => one,
        (_, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({ "components": { "schemas": {
            "Tree": {
                "type": "object",
                "required": ["name", "size"],
                "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "minLength": 2, "maxLength": 4 },
                    "size": { "type": "integer", "minimum": 3 },
                    "kind": { "enum": ["oak", "elm"] },
                    "branches": { "type": "array", "items": { "$ref": "#/components/schemas/Tree" } },
                    "note": { "type": "string", "nullable": true },
                },
            },
        } } })
    }

    #[test]
    fn an_example_fits() {
        let document = document();
        let schemas = Schemas::of(&document);
        let tree = json!({ "$ref": "#/components/schemas/Tree" });
        let example = schemas.example(&tree);
        assert_eq!(example, json!({ "name": "aa", "size": 3 }));
        assert_eq!(schemas.check(&example, &tree), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let document = document();
        let tree = json!({ "$ref": "#/components/schemas/Tree" });
        let check = |value: Value, expected: Result<(), &str>| {
            assert_eq!(Schemas::of(&document).check(&value, &tree), expected.map_err(str::to_owned), "{value}");
        };
        check(json!({ "name": "ab", "size": 3, "note": null, "branches": [] }), Ok(()));
        check(json!({ "name": "ab" }), Err(".size: is missing"));
        check(json!({ "name": 1, "size": 3 }), Err(".name: 1 is not of type string"));
        check(json!({ "name": "abcde", "size": 3 }), Err(".name: \"abcde\" is out of bounds"));
        check(json!({ "name": "ab", "size": 2 }), Err(".size: 2 is out of bounds"));
        check(json!({ "name": "ab", "size": 3, "kind": "ash" }), Err(".kind: \"ash\" is not one of [\"oak\",\"elm\"]"));
        check(json!({ "name": "ab", "size": 3, "age": 1 }), Err(".age: is not in the document"));
        check(
            json!({ "name": "ab", "size": 3, "branches": [{ "name": "cd", "size": 3 }, {}] }),
            Err(".branches[1].name: is missing"),
        );
        check(json!([]), Err("the body: [] is not of type object"));
    }
}
