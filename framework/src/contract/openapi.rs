//! OpenAPI documents, written from the types that are really read and written.
//!
//! Our own writer, because the ecosystem is split: what makes documents in Rust writes 3.1, what reads them reads 3.0.
//! schemars knows both dialects of schemas; the rest is small.

use std::collections::BTreeMap;
use std::fmt;

use http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, ReplacePrefixItems};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::ProblemKind;
use super::api::{Api, Operation};
use super::versions;

/// The media type of every error.
const PROBLEM_JSON: &str = "application/problem+json";

/// Where the schema of a problem is.
const PROBLEM_REF: &str = "#/components/schemas/Problem";

/// The version of OpenAPI that a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// 3.0.3, which every tool reads: the one that is committed and compared.
    V3_0,
    /// 3.1.0, whose schemas are JSON Schema 2020-12.
    V3_1,
}

/// An OpenAPI document. Its text, made by `to_string`, is indented JSON that ends with a newline, as it is committed.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// use samspill::contract::Dialect;
///
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     /// How often each thing happened.
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// let document = StatisticsApi::openapi(1, Dialect::V3_0).unwrap();
/// assert_eq!(document.as_json()["openapi"], "3.0.3");
/// assert_eq!(document.as_json()["paths"]["/v1/counts"]["get"]["summary"], "How often each thing happened");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Value);

impl Document {
    /// The document as JSON.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    pub(super) fn with_server(mut self, url: &str) -> Self {
        self.0["servers"] = json!([{ "url": url }]);
        self
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.0)
    }
}

/// One operation, while it is being described.
#[derive(Debug)]
pub struct OperationDocument<'a> {
    schemas: &'a mut Schemas,
    dialect: Dialect,
    path: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    success: BTreeMap<u16, Value>,
    refusals: BTreeMap<u16, Vec<String>>,
    /// The kinds of problems by their type, for programs.
    problems: Map<String, Value>,
}

/// Where a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// The schemas of all types met so far: as they are read, and as they are written.
#[derive(Debug)]
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

pub(super) fn document(api: &Api, version: u32, dialect: Dialect) -> Document {
    let mut schemas = Schemas::new(dialect);
    let mut paths: Map<String, Value> = Map::new();
    for operation in api.operations().iter().filter(|operation| operation.is_in(version)) {
        let described = describe(api, operation, version, dialect, &mut schemas);
        let item = paths.entry(versions::path(version, operation.path)).or_insert_with(|| json!({}));
        item[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = schemas.finish(&mut paths);
    schemas.insert("Problem".to_owned(), problem_schema());
    let mut schemas = Value::Object(schemas);
    let mut paths = Value::Object(paths);
    unwrap_descriptions(&mut schemas);
    unwrap_descriptions(&mut paths);

    let mut info = json!({ "title": api.name, "version": format!("{version}.0.0") });
    if !api.docs.is_empty() {
        info["description"] = unwrapped(api.docs).into();
    }
    if let Some(deprecation) = api.deprecation(version) {
        info["x-samspill-deprecated"] =
            json!({ "since": deprecation.since.0, "sunset": deprecation.sunset.map(|(date, _)| date) });
    }
    let openapi = match dialect {
        Dialect::V3_0 => "3.0.3",
        Dialect::V3_1 => "3.1.0",
    };
    Document(in_order(json!({
        "openapi": openapi,
        "info": info,
        // Relative to the document, which may be anywhere behind an edge.
        "servers": [{ "url": ".." }],
        "paths": paths,
        "components": { "schemas": schemas },
    })))
}

/// Members in the order of their names: a stranger's crate may have told serde_json to keep them as they came, and what is
/// committed must not depend on it.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<String, Value> = members.into_iter().collect();
            Value::Object(sorted.into_iter().map(|(name, member)| (name, in_order(member))).collect())
        }
        Value::Array(items) => items.into_iter().map(in_order).collect(),
        other => other,
    }
}

fn describe(api: &Api, operation: &Operation, version: u32, dialect: Dialect, schemas: &mut Schemas) -> Value {
    let mut document = OperationDocument {
        schemas,
        dialect,
        path: operation.path,
        parameters: Vec::new(),
        body: None,
        success: BTreeMap::new(),
        refusals: BTreeMap::new(),
        problems: Map::new(),
    };
    operation.describe(&mut document);
    document.finish(operation, api.deprecation(version).is_some())
}

impl OperationDocument<'_> {
    /// The body that is taken.
    pub(super) fn takes_body<T: JsonSchema>(&mut self, media_type: &str) {
        let schema = self.schemas.read::<T>();
        self.body = Some(json!({ "required": true, "content": { media_type: { "schema": schema } } }));
        for status in [400, 413, 415, 422] {
            self.may_refuse(status);
        }
    }

    /// A body that is not looked into.
    pub(super) fn takes_bytes(&mut self) {
        let schema = match self.dialect {
            Dialect::V3_0 => json!({ "type": "string", "format": "binary" }),
            Dialect::V3_1 => json!({}),
        };
        self.body = Some(json!({ "required": true, "content": { "application/octet-stream": { "schema": schema } } }));
        self.may_refuse(413);
    }

    /// The members of a struct, each a parameter; for a path a single value or a tuple too.
    pub(super) fn takes_parameters<T: JsonSchema>(&mut self, place: Place) {
        self.may_refuse(400);
        let schema = self.schemas.parameters::<T>();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let members: Vec<(String, Value, bool)> = match schema["properties"].as_object() {
            Some(members) => members
                .iter()
                .map(|(name, schema)| (name.clone(), schema.clone(), required.contains(&name.as_str())))
                .collect(),
            None => {
                let values = match schema["prefixItems"].as_array() {
                    Some(parts) => parts.clone(),
                    None => vec![schema.clone()],
                };
                parameter_names(self.path).zip(values).map(|(name, schema)| (name, schema, true)).collect()
            }
        };
        let place_name = if place == Place::Path { "path" } else { "query" };
        for (name, mut schema, is_required) in members {
            self.schemas.finish_parameter(&mut schema);
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let is_required = is_required || place == Place::Path;
            let mut parameter = json!({ "name": name, "in": place_name, "required": is_required, "schema": schema });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            self.parameters.push(parameter);
        }
    }

    pub(super) fn takes_idempotency_key(&mut self, is_required: bool) {
        self.may_refuse(400);
        self.parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": is_required,
            "description": "Chosen by the caller, so that a repeat of the request is recognised.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$" },
        }));
    }

    /// A status that the framework answers with in certain cases, which the documents name.
    pub(super) fn may_refuse(&mut self, status: u16) {
        self.refusals.entry(status).or_default();
    }

    /// What the contract's error can be.
    #[doc(hidden)]
    pub fn refuses(&mut self, kinds: Vec<ProblemKind>) {
        for kind in kinds {
            let mut text = format!("`{}`: {}.", kind.uri, kind.title.trim_end_matches('.'));
            if !kind.docs.is_empty() {
                text.push(' ');
                text.push_str(kind.docs);
            }
            self.refusals.entry(kind.status).or_default().push(text);
            // OpenAPI has no words for it: programs compare the type and read the members, so both are promised.
            let promised = json!({ "status": kind.status, "members": kind.members });
            self.problems.insert(kind.uri.to_owned(), promised);
        }
    }

    pub(super) fn answers_json<T: JsonSchema>(&mut self, status: StatusCode, headers: &[(&str, &str)]) {
        let schema = self.schemas.written::<T>();
        let mut response = json!({
            "description": status.canonical_reason().unwrap_or_default(),
            "content": { "application/json": { "schema": schema } },
        });
        for (name, description) in headers {
            response["headers"][*name] = json!({ "description": description, "schema": { "type": "string" } });
        }
        self.success.insert(status.as_u16(), response);
    }

    pub(super) fn answers_nothing(&mut self, status: StatusCode) {
        let response = json!({ "description": status.canonical_reason().unwrap_or_default() });
        self.success.insert(status.as_u16(), response);
    }

    fn finish(self, operation: &Operation, is_deprecated: bool) -> Value {
        let mut responses = Map::new();
        for (status, response) in self.success {
            responses.insert(status.to_string(), response);
        }
        for (status, kinds) in self.refusals {
            let name = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            let mut description = name.unwrap_or("Error").to_owned();
            for kind in kinds {
                description.push_str("\n\n");
                description.push_str(&kind);
            }
            responses.insert(status.to_string(), problem_response(&description));
        }
        // Whatever else goes wrong has the same shape. Not `default`, which would say it of successes that are not named too:
        // makers of clients then find two types of success, and progenitor refuses the document.
        responses.insert("4XX".to_owned(), problem_response("Any other refusal"));
        responses.insert("5XX".to_owned(), problem_response("Any failure"));

        let (summary, description) = operation.docs.split_once("\n\n").unwrap_or((operation.docs, ""));
        let mut described = json!({ "operationId": operation.name, "responses": responses });
        if !summary.is_empty() {
            described["summary"] = unwrapped(summary).trim_end_matches('.').into();
        }
        if !description.is_empty() {
            described["description"] = description.into();
        }
        if !self.parameters.is_empty() {
            described["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            described["requestBody"] = body;
        }
        if !self.problems.is_empty() {
            described["x-samspill-problems"] = self.problems.into();
        }
        if is_deprecated {
            described["deprecated"] = true.into();
        }
        described
    }
}

impl Schemas {
    fn new(dialect: Dialect) -> Self {
        let settings = || {
            match dialect {
                Dialect::V3_0 => SchemaSettings::openapi3().with(|settings| {
                    settings.transforms.retain(|transform| !transform.is::<ReplacePrefixItems>());
                    settings.transforms.insert(0, Box::new(RecursiveTransform(older)));
                }),
                Dialect::V3_1 => SchemaSettings::draft2020_12(),
            }
            .with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = "/components/schemas".into();
            })
        };
        let read = settings().for_deserialize().into_generator();
        let written = settings().for_serialize().into_generator();
        Self { read, written }
    }

    fn read<T: JsonSchema>(&mut self) -> Value {
        subschema::<T>(&mut self.read)
    }

    fn written<T: JsonSchema>(&mut self) -> Value {
        subschema::<T>(&mut self.written)
    }

    /// A type's own schema, not a reference to it, as schemars makes it: its parts are parameters, not itself.
    fn parameters<T: JsonSchema>(&mut self) -> Value {
        T::json_schema(&mut self.read).to_value()
    }

    /// A parameter is left out; it cannot be null.
    fn finish_parameter(&mut self, parameter: &mut Value) {
        let Some(members) = parameter.as_object_mut() else { return };
        if let Some(Value::Array(kinds)) = members.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                members.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                members.remove("anyOf");
                members.extend(only);
            }
        }
        members.retain(|key, member| key != "default" || !member.is_null());
        if let Ok(schema) = parameter.try_into() {
            transform(&mut self.read, schema);
        }
    }

    /// All of them. A type that is read in one way and written in another gets a second name in the requests.
    fn finish(mut self, paths: &mut Map<String, Value>) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        let read = self.read.take_definitions(true);
        let differs = |name: &String| all.get(name).is_some_and(|written| Some(written) != read.get(name));
        let mut renamed: Vec<String> = read.keys().filter(|name| differs(name)).cloned().collect();
        // What holds such a type differs too.
        while let Some((name, _)) = read
            .iter()
            .find(|(name, schema)| all.contains_key(*name) && !renamed.contains(name) && refers_to(schema, &renamed))
        {
            renamed.push(name.clone());
        }
        let mut requests = Value::Object(read.into_iter().collect());
        rename_refs(&mut requests, &renamed);
        for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            for part in ["requestBody", "parameters"] {
                rename_refs(&mut operation[part], &renamed);
                if operation[part].is_null() {
                    operation.as_object_mut().map(|operation| operation.remove(part));
                }
            }
        }
        if let Value::Object(requests) = requests {
            for (name, schema) in requests {
                let name = if renamed.contains(&name) { as_read(&name) } else { name };
                all.insert(name, schema);
            }
        }
        all
    }
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = generator.subschema_for::<T>();
    transform(generator, &mut schema);
    schema.to_value()
}

fn transform(generator: &mut SchemaGenerator, schema: &mut Schema) {
    for transform in generator.transforms_mut() {
        transform.transform(schema);
    }
}

/// Says in the words of 3.0 what schemars leaves in those of 2020-12.
fn older(schema: &mut Schema) {
    let Some(members) = schema.as_object_mut() else { return };
    // A tuple is a list of which each item is one of several.
    if let Some(Value::Array(mut parts)) = members.remove("prefixItems") {
        let mut kinds: Vec<Value> = Vec::new();
        for part in parts.drain(..) {
            if !kinds.contains(&part) {
                kinds.push(part);
            }
        }
        let items = if kinds.len() == 1 { kinds.remove(0) } else { json!({ "anyOf": kinds }) };
        members.insert("items".to_owned(), items);
    }
    // A map whose keys are numbers.
    if let Some(Value::Object(patterns)) = members.remove("patternProperties") {
        let values = patterns.into_iter().next().map_or(Value::Bool(true), |(_pattern, values)| values);
        members.insert("additionalProperties".to_owned(), values);
    }
    // Something or null. `nullable` stands beside what it is about, and a reference has nothing beside it.
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        let before = choices.len();
        choices.retain(|choice| *choice != json!({ "type": "null" }));
        if choices.len() < before {
            let keyword = if choices.len() == 1 { "allOf" } else { "anyOf" };
            if let Some(choices) = members.remove("anyOf") {
                members.insert(keyword.to_owned(), choices);
            }
            members.insert("nullable".to_owned(), Value::Bool(true));
        }
    }
}

/// Joins the lines of each paragraph of every description: they were broken for the source.
fn unwrap_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == "description" => *text = unwrapped(text),
                    member => unwrap_descriptions(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

/// A paragraph is one line. Lists, tables, headings, quotes and code stay as they are (CommonMark).
fn unwrapped(text: &str) -> String {
    let mut whole = String::new();
    let (mut is_code, mut was_own) = (false, true);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        let is_list =
            line.starts_with(['-', '*']) || line.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(". ");
        let own = is_fence || is_code || is_list || line.is_empty() || line.starts_with(['|', '#', '>', ' ', '\t']);
        is_code ^= is_fence;
        if !whole.is_empty() {
            whole.push(if own || was_own { '\n' } else { ' ' });
        }
        whole.push_str(line);
        was_own = own;
    }
    whole
}

/// What a type is called that is read in another way than it is written.
fn as_read(name: &str) -> String {
    format!("{name}AsRead")
}

/// The name of the type that a reference leads to.
fn target(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

fn refers_to(schema: &Value, names: &[String]) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, member)| match member {
            Value::String(reference) if key == "$ref" => names.iter().any(|name| name == target(reference)),
            member => refers_to(member, names),
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, names)),
        _ => false,
    }
}

fn rename_refs(value: &mut Value, renamed: &[String]) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(reference) if key == "$ref" => {
                        let name = target(reference);
                        if renamed.iter().any(|known| known == name) {
                            *reference = format!("#/components/schemas/{}", as_read(name));
                        }
                    }
                    member => rename_refs(member, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_refs(item, renamed)),
        _ => {}
    }
}

/// The names of a path's parameters.
pub(super) fn parameter_names(path: &str) -> impl Iterator<Item = String> {
    let name = |segment: &str| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    path.split('/').filter_map(name)
}

fn problem_response(description: &str) -> Value {
    json!({
        "description": description,
        "content": { PROBLEM_JSON: { "schema": { "$ref": PROBLEM_REF } } },
    })
}

/// [`Problem`](crate::Problem), which is not derived: its members are open (RFC 9457 §3.2).
fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457). Programs compare `type` and `status`; people read the rest.",
        "required": ["title", "status"],
        "properties": {
            "type": { "type": "string", "description": "The kind of problem, a URI; `about:blank` if it is left out." },
            "title": { "type": "string", "description": "The kind of problem, in words." },
            "status": { "type": "integer", "format": "uint16", "minimum": 100, "maximum": 599 },
            "detail": { "type": "string", "description": "What happened this time." },
            "errors": {
                "type": "array",
                "description": "What is wrong with which field.",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": { "field": { "type": "string" }, "detail": { "type": "string" } },
                },
            },
            "trace_id": { "type": "string", "description": "The trace in which it happened." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_one_line_and_code_is_left_alone() {
        let text = "One\ntwo.\n\nThree\n- four\n  five\n# Six\nseven\n```\neight\nnine\n```\nten";
        let expected = "One two.\n\nThree\n- four\n  five\n# Six\nseven\n```\neight\nnine\n```\nten";
        assert_eq!(unwrapped(text), expected);
    }

    #[test]
    fn what_holds_a_type_that_is_read_otherwise_is_read_otherwise_too() {
        let mut schemas = Schemas::new(Dialect::V3_0);
        let (read, written) = (schemas.read::<Outer>(), schemas.written::<Outer>());
        assert_eq!(read, written);
        let mut paths = Map::new();
        paths.insert("/".to_owned(), json!({ "post": { "requestBody": { "schema": read } } }));
        let all = schemas.finish(&mut paths);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["Inner", "InnerAsRead", "Outer", "OuterAsRead"]);
        let inner = |name: &str| all[name]["properties"]["inner"]["$ref"].clone();
        assert_eq!(inner("Outer"), "#/components/schemas/Inner");
        assert_eq!(inner("OuterAsRead"), "#/components/schemas/InnerAsRead");
        assert_eq!(paths["/"]["post"]["requestBody"]["schema"]["$ref"], "#/components/schemas/OuterAsRead");
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Outer {
        inner: Inner,
    }

    /// Always written, not always read.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Inner {
        note: Option<String>,
    }
}
