//! What a schema means: references followed, `allOf` folded into one, and the ways of writing the same thing made one way.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::pointer::{Found, join};

/// A schema without its spelling.
#[derive(Debug)]
pub(super) struct Flat<'a> {
    /// Of the schema itself, after its references.
    pub(super) pointer: String,
    pub(super) properties: BTreeMap<&'a str, Vec<Found<'a>>>,
    pub(super) required: BTreeSet<&'a str>,
    pub(super) nullable: bool,
    /// The values of `enum`, and of a `oneOf` that has nothing else; `None` where any value will do.
    pub(super) values: Option<Vec<Found<'a>>>,
    /// The alternatives of `oneOf` or `anyOf`.
    pub(super) variants: Option<Variants<'a>>,
    /// All other members. Several values where parts of an `allOf` say different things.
    keywords: BTreeMap<&'a str, Vec<Found<'a>>>,
}

#[derive(Debug)]
pub(super) struct Variants<'a> {
    /// `oneOf` or `anyOf`.
    pub(super) keyword: &'a str,
    pub(super) pointer: String,
    pub(super) items: Vec<Found<'a>>,
}

impl<'a> Flat<'a> {
    pub(super) fn new(schema: &Found<'a>, root: &'a Value) -> Self {
        let first = schema.resolve(root);
        let mut flat = Self {
            pointer: first.pointer.clone(),
            properties: BTreeMap::new(),
            required: BTreeSet::new(),
            nullable: false,
            values: None,
            variants: None,
            keywords: BTreeMap::new(),
        };
        // A part that is its own part is folded once.
        let mut seen = BTreeSet::new();
        // What stands beside a `$ref` is documentation, whatever OpenAPI 3.0 says about ignoring it.
        let mut parts = vec![first];
        while let Some(part) = parts.pop() {
            if !seen.insert(part.pointer.clone()) {
                continue;
            }
            for (key, member) in part.members() {
                match key {
                    "allOf" => parts.extend(member.elements().map(|element| element.resolve(root))),
                    "oneOf" | "anyOf" => parts.extend(flat.alternatives(key, member, root)),
                    "properties" => {
                        for (name, property) in member.members() {
                            flat.properties.entry(name).or_default().push(property);
                        }
                    }
                    "required" => flat.required.extend(member.elements().filter_map(|name| name.value.as_str())),
                    "nullable" => flat.nullable |= member.value == &Value::Bool(true),
                    "enum" | "const" if flat.values.is_none() => flat.values = constants(&part),
                    _ => flat.keyword(key, member),
                }
            }
        }
        if let Some(values) = &mut flat.values {
            flat.nullable |= values.iter().any(|value| value.value.is_null());
            values.retain(|value| !value.value.is_null());
        }
        flat
    }

    fn keyword(&mut self, key: &'a str, member: Found<'a>) {
        let known = self.keywords.entry(key).or_default();
        if known.iter().all(|other| other.value != member.value) {
            known.push(member);
        }
    }

    /// Of the alternatives, null is said by `nullable`, constants are an `enum`, and a single one is no alternative: it is returned.
    fn alternatives(&mut self, key: &'a str, list: Found<'a>, root: &'a Value) -> Option<Found<'a>> {
        let mut items: Vec<Found<'a>> = list.elements().map(|item| item.resolve(root)).collect();
        let all = items.len();
        items.retain(|item| !is_null(item));
        self.nullable |= items.len() < all;
        if items.len() == 1 {
            return items.pop();
        }
        let is_enum = !items.is_empty() && items.iter().all(|item| is_constant(item));
        if is_enum && self.values.is_none() {
            self.values = Some(items.iter().filter_map(constants).flatten().collect());
            for item in &items {
                for key in ["type", "format"] {
                    if let Some((key, member)) = item.members().find(|(found, _)| *found == key) {
                        self.keyword(key, member);
                    }
                }
            }
        } else if self.variants.is_none() {
            self.variants = Some(Variants { keyword: key, pointer: list.pointer, items });
        } else {
            self.keyword(key, list);
        }
        None
    }

    /// All that is said under a keyword.
    pub(super) fn said(&self, keyword: &str) -> &[Found<'a>] {
        self.keywords.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// The value under a keyword, where one is said and not several.
    pub(super) fn get(&self, keyword: &str) -> Option<&Found<'a>> {
        match self.said(keyword) {
            [one] => Some(one),
            _ => None,
        }
    }

    pub(super) fn keywords(&self) -> impl Iterator<Item = &'a str> {
        self.keywords.keys().copied()
    }

    /// `None` where every type will do. Strings in an `enum` need no `type`.
    pub(super) fn kind(&self) -> Option<&'a str> {
        let is_text = |values: &[Found<'a>]| !values.is_empty() && values.iter().all(|found| found.value.is_string());
        let implied = || self.values.as_deref().filter(|values| is_text(values)).map(|_| "string");
        self.get("type").and_then(|kind| kind.value.as_str()).or_else(implied)
    }

    /// Whether unknown properties are refused.
    pub(super) fn is_closed(&self) -> bool {
        self.said("additionalProperties").iter().any(|found| found.value == &Value::Bool(false))
    }

    /// In a few words.
    pub(super) fn describe(&self) -> String {
        let format = self.get("format").and_then(|format| format.value.as_str());
        let kind = match (self.kind(), format, &self.variants) {
            (_, _, Some(variants)) => format!("{} of {} schemas", variants.keyword, variants.items.len()),
            (Some(kind), Some(format), _) => format!("{kind} ({format})"),
            (Some(kind), None, _) => kind.to_owned(),
            (None, _, _) if self.values.is_some() => "enum".to_owned(),
            (None, _, _) => "anything".to_owned(),
        };
        if self.nullable { format!("{kind} or null") } else { kind }
    }

    /// Where a member of it stands, or would stand.
    pub(super) fn place(&self, keyword: &str) -> String {
        self.said(keyword).first().map_or_else(|| join(&self.pointer, keyword), |found| found.pointer.clone())
    }
}

/// The values of `enum`, or that of `const`, which OpenAPI 3.0 has not and generators write all the same.
fn constants<'a>(schema: &Found<'a>) -> Option<Vec<Found<'a>>> {
    let listed = schema.get("enum").map(|list| list.elements().collect());
    listed.or_else(|| schema.get("const").map(|value| vec![value]))
}

/// `{"enum": [null]}` and its kin: what Rust's `None` becomes beside a reference.
fn is_null(schema: &Found<'_>) -> bool {
    let only_null = |values: Vec<Found<'_>>| !values.is_empty() && values.iter().all(|found| found.value.is_null());
    constants(schema).is_some_and(only_null) || schema.text("type") == Some("null")
}

/// A schema of nothing but constants: an enum's variant with a description of its own.
fn is_constant(schema: &Found<'_>) -> bool {
    const MAY_HAVE: [&str; 7] = ["enum", "const", "type", "format", "title", "description", "deprecated"];
    constants(schema).is_some() && schema.members().all(|(key, _)| MAY_HAVE.contains(&key))
}
