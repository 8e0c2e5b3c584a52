//! Everything of a document but its schemas: operations, parameters, bodies, answers.

use std::collections::{BTreeMap, BTreeSet};

use super::pointer::{Found, join};
use super::schema::{At, Comparison, Side, short};
use crate::{Effect, Rule};

/// The members of a path item that are operations, as OpenAPI 3.0 names them.
pub(super) const VERBS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// One verb and path.
pub(super) struct Operation<'a> {
    /// As it is written: `/v2/parcels/{id}`.
    path: &'a str,
    item: Found<'a>,
    found: Found<'a>,
}

/// By verb, and by path without `prefix` and the names of its parameters: these are not on the wire.
pub(super) fn operations<'a>(root: &Found<'a>, prefix: &str) -> BTreeMap<(String, &'static str), Operation<'a>> {
    let mut operations = BTreeMap::new();
    for (path, item) in root.get("paths").into_iter().flat_map(|paths| paths.members().collect::<Vec<_>>()) {
        let item = item.resolve(root.value);
        for verb in VERBS {
            if let Some(found) = item.get(verb) {
                let key = (unnamed(path.strip_prefix(prefix).unwrap_or(path)), verb);
                operations.insert(key, Operation { path, item: item.clone(), found });
            }
        }
    }
    operations
}

fn unnamed(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((_, after)) = after.split_once('}') else { break };
        text.push_str(before);
        text.push_str("{}");
        rest = after;
    }
    text + rest
}

/// The names between braces, in order.
fn names(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

impl<'a> Comparison<'a> {
    /// `prefixes` begin the paths of either document and are no difference.
    pub(super) fn documents(&mut self, prefixes: (&str, &str)) {
        let (old, new) = (Found::root(self.old), Found::root(self.new));
        self.document(&old, &new);
        let (before, mut after) = (operations(&old, prefixes.0), operations(&new, prefixes.1));
        for (key, operation) in before {
            match after.remove(&key) {
                Some(other) => {
                    let path = |operation: &Operation<'a>, prefix| {
                        operation.path.strip_prefix(prefix).unwrap_or(operation.path)
                    };
                    if path(&operation, prefixes.0) != path(&other, prefixes.1) {
                        let pointer = join("#/paths", other.path);
                        let was_is = (Some(operation.path.to_owned()), Some(other.path.to_owned()));
                        let steps = [title(key.1, other.path)];
                        self.tell(Rule::DocumentationChanged, Effect::Documentation, pointer, &steps, was_is);
                    }
                    self.operation(key.1, &operation, &other);
                }
                None => {
                    let steps = [title(key.1, operation.path)];
                    let effect = Effect::CompatibleForService;
                    self.tell(Rule::OperationRemoved, effect, operation.found.pointer, &steps, (None, None));
                }
            }
        }
        for ((_, verb), operation) in after {
            let steps = [title(verb, operation.path)];
            let effect = Effect::CompatibleForCallers;
            self.tell(Rule::OperationAdded, effect, operation.found.pointer, &steps, (None, None));
        }
    }

    fn document(&mut self, old: &Found<'a>, new: &Found<'a>) {
        let steps = ["the whole document".to_owned()];
        self.documentation(old, new, &["info", "tags", "openapi"], &steps);
        self.servers(old, new, &steps);
        self.member(Rule::SecurityChanged, "security", old, new, &steps);
        let schemes =
            |root: &Found<'a>| root.get("components").and_then(|components| components.get("securitySchemes"));
        let names =
            |list: &Option<Found<'a>>| list.iter().flat_map(|list| list.members().collect::<Vec<_>>()).collect();
        let (was, is) = (schemes(old), schemes(new));
        let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) = (names(&was), names(&is));
        // One that was added is no promise before an operation asks for it, which is told as `security`.
        for (name, scheme) in &was {
            let after = is.get(name);
            let differs = after.is_none_or(|after| !same_but_description(scheme, after));
            if differs {
                let pointer = after.map_or_else(|| scheme.pointer.clone(), |after| after.pointer.clone());
                let was_is = (Some(short(scheme.value)), after.map(|after| short(after.value)));
                let steps = [format!("security scheme {name}")];
                self.tell(Rule::SecurityChanged, Effect::Breaking, pointer, &steps, was_is);
            }
        }
        self.others(old, new, &["openapi", "info", "servers", "paths", "components", "security", "tags"], &steps);
    }

    fn operation(&mut self, verb: &str, old: &Operation<'a>, new: &Operation<'a>) {
        let steps = vec![title(verb, new.path)];
        self.documentation(&old.found, &new.found, &["operationId", "tags", "links"], &steps);
        self.member(Rule::SecurityChanged, "security", &old.found, &new.found, &steps);
        self.servers(&old.item, &new.item, &steps);
        self.servers(&old.found, &new.found, &steps);
        self.parameters(old, new, &steps);
        self.request_body(&old.found, &new.found, &steps);
        self.answers(&old.found, &new.found, &steps);
        let compared = ["operationId", "tags", "security", "servers", "parameters", "requestBody", "responses"];
        self.others(&old.found, &new.found, &compared, &steps);
    }

    fn member(&mut self, rule: Rule, key: &str, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        let (was, is) = (old.get(key), new.get(key));
        if was.as_ref().map(|found| found.value) != is.as_ref().map(|found| found.value) {
            let pointer = is.as_ref().or(was.as_ref()).map(|found| found.pointer.clone()).unwrap_or_default();
            let text = |found: Option<Found<'a>>| found.map(|found| short(found.value));
            self.tell(rule, Effect::Breaking, pointer, steps, (text(was), text(is)));
        }
    }

    /// Only the addresses count.
    fn servers(&mut self, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        let urls = |found: &Found<'a>| {
            let servers = found.get("servers").into_iter().flat_map(|list| list.elements().collect::<Vec<_>>());
            servers.filter_map(|server| server.text("url").map(str::to_owned)).collect::<BTreeSet<_>>()
        };
        let (was, is) = (urls(old), urls(new));
        if was != is {
            let text = |urls: BTreeSet<String>| Some(urls.into_iter().collect::<Vec<_>>().join(", "));
            let pointer = join(&new.pointer, "servers");
            self.tell(Rule::ServerChanged, Effect::Breaking, pointer, steps, (text(was), text(is)));
        }
    }

    fn parameters(&mut self, old: &Operation<'a>, new: &Operation<'a>, steps: &[String]) {
        let (before, mut after) = (self.list(old, true), self.list(new, false));
        for (key, (name, parameter)) in before {
            let step = |name: &str| [steps, &[format!("{} {name}", key.0)]].concat();
            match after.remove(&key) {
                Some((name, other)) => self.parameter(&parameter, &other, &key.0, step(&name)),
                None => {
                    let effect = if is_required(&parameter) { Effect::Breaking } else { Effect::CompatibleForService };
                    self.tell(Rule::ParameterRemoved, effect, parameter.pointer, &step(&name), (None, None));
                }
            }
        }
        for (key, (name, parameter)) in after {
            let (rule, effect) = match is_required(&parameter) {
                true => (Rule::RequiredParameterAdded, Effect::Breaking),
                false => (Rule::OptionalParameterAdded, Effect::CompatibleForCallers),
            };
            let steps = [steps, &[format!("{} {name}", key.0)]].concat();
            self.tell(rule, effect, parameter.pointer, &steps, (None, None));
        }
    }

    /// By kind and name: those of the operation win over those of its path. A path's parameter is known by its position.
    fn list(&self, operation: &Operation<'a>, is_old: bool) -> BTreeMap<(String, String), (String, Found<'a>)> {
        let root = if is_old { self.old } else { self.new };
        let positions = names(operation.path);
        let mut parameters = BTreeMap::new();
        for list in [operation.item.get("parameters"), operation.found.get("parameters")].into_iter().flatten() {
            for parameter in list.elements() {
                let parameter = parameter.resolve(root);
                let (kind, name) =
                    (parameter.text("in").unwrap_or_default(), parameter.text("name").unwrap_or_default());
                let key = match kind {
                    "path" => {
                        positions.iter().position(|other| *other == name).map_or(name.to_owned(), |at| at.to_string())
                    }
                    "header" => name.to_ascii_lowercase(),
                    _ => name.to_owned(),
                };
                parameters.insert((kind.to_owned(), key), (name.to_owned(), parameter));
            }
        }
        parameters
    }

    fn parameter(&mut self, old: &Found<'a>, new: &Found<'a>, kind: &str, steps: Vec<String>) {
        self.documentation(old, new, &[], &steps);
        let word = |required| Some(if required { "required" } else { "optional" }.to_owned());
        let (was, is) = (is_required(old), is_required(new));
        if was != is {
            let (rule, effect) = match is {
                true => (Rule::ParameterBecameRequired, Effect::CompatibleForService),
                false => (Rule::ParameterBecameOptional, Effect::CompatibleForCallers),
            };
            self.tell(rule, effect, join(&new.pointer, "required"), &steps, (word(was), word(is)));
        }
        let style = |found: &Found<'a>| {
            let by_kind = if ["query", "cookie"].contains(&kind) { "form" } else { "simple" };
            let style = found.text("style").unwrap_or(by_kind);
            let explode = found.value.get("explode").and_then(serde_json::Value::as_bool).unwrap_or(style == "form");
            let media_type = found.get("content").and_then(|content| content.members().next().map(|(name, _)| name));
            let flags: String = ["allowReserved", "allowEmptyValue"]
                .iter()
                .filter(|flag| found.is_true(flag))
                .map(|flag| format!(", {flag}"))
                .collect();
            match media_type {
                Some(media_type) => format!("{media_type}{flags}"),
                None => format!("style {style}, explode {explode}{flags}"),
            }
        };
        if style(old) != style(new) {
            let was_is = (Some(style(old)), Some(style(new)));
            self.tell(Rule::ParameterStyleChanged, Effect::Breaking, new.pointer.clone(), &steps, was_is);
        }
        let schema = |found: &Found<'a>| {
            let of_content = || found.get("content")?.members().next()?.1.get("schema");
            found.get("schema").or_else(of_content)
        };
        let compared =
            ["name", "in", "required", "style", "explode", "allowReserved", "allowEmptyValue", "content", "schema"];
        self.others(old, new, &compared, &steps);
        self.enqueue(schema(old), schema(new), || At { steps, side: Side::Request });
    }

    fn request_body(&mut self, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        let steps = [steps, &["request body".to_owned()]].concat();
        let body = |found: &Found<'a>, root| Some(found.get("requestBody")?.resolve(root));
        let (rule, effect, pointer) = match (body(old, self.old), body(new, self.new)) {
            (None, None) => return,
            (Some(gone), None) => {
                let effect = if gone.is_true("required") { Effect::Breaking } else { Effect::CompatibleForService };
                (Rule::RequestBodyRemoved, effect, gone.pointer)
            }
            (None, Some(added)) => match added.is_true("required") {
                true => (Rule::RequiredRequestBodyAdded, Effect::Breaking, added.pointer),
                false => (Rule::OptionalRequestBodyAdded, Effect::CompatibleForCallers, added.pointer),
            },
            (Some(old), Some(new)) => {
                self.documentation(&old, &new, &[], &steps);
                self.content(&old, &new, Side::Request, &steps);
                self.others(&old, &new, &["required", "content"], &steps);
                let pointer = join(&new.pointer, "required");
                match (old.is_true("required"), new.is_true("required")) {
                    (false, true) => (Rule::RequestBodyBecameRequired, Effect::CompatibleForService, pointer),
                    (true, false) => (Rule::RequestBodyBecameOptional, Effect::CompatibleForCallers, pointer),
                    _ => return,
                }
            }
        };
        self.tell(rule, effect, pointer, &steps, (None, None));
    }

    fn answers(&mut self, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        let list = |found: &Found<'a>, root| -> BTreeMap<&'a str, Found<'a>> {
            let answers = found.get("responses").into_iter().flat_map(|list| list.members().collect::<Vec<_>>());
            answers
                .filter(|(status, _)| !status.starts_with("x-"))
                .map(|(status, answer)| (status, answer.resolve(root)))
                .collect()
        };
        let (before, mut after) = (list(old, self.old), list(new, self.new));
        for (status, answer) in before {
            let steps = [steps, &[format!("answer {status}")]].concat();
            match after.remove(status) {
                Some(other) => self.answer(&answer, &other, &steps),
                None => {
                    let effect = Effect::CompatibleForCallers;
                    self.tell(Rule::StatusRemoved, effect, answer.pointer, &steps, (None, None));
                }
            }
        }
        for (status, answer) in after {
            let steps = [steps, &[format!("answer {status}")]].concat();
            self.tell(Rule::StatusAdded, Effect::CompatibleForService, answer.pointer, &steps, (None, None));
        }
    }

    fn answer(&mut self, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        self.documentation(old, new, &["links"], steps);
        self.content(old, new, Side::Answer, steps);
        self.headers(old, new, steps);
        self.others(old, new, &["content", "headers", "links"], steps);
    }

    fn headers(&mut self, old: &Found<'a>, new: &Found<'a>, steps: &[String]) {
        let list = |found: &Found<'a>, root| -> BTreeMap<String, Found<'a>> {
            let headers = found.get("headers").into_iter().flat_map(|list| list.members().collect::<Vec<_>>());
            headers.map(|(name, header)| (name.to_ascii_lowercase(), header.resolve(root))).collect()
        };
        let (before, mut after) = (list(old, self.old), list(new, self.new));
        for (name, header) in before {
            let steps = [steps, &[format!("header {name}")]].concat();
            let Some(other) = after.remove(&name) else {
                let effect = Effect::CompatibleForService;
                self.tell(Rule::HeaderRemoved, effect, header.pointer, &steps, (None, None));
                continue;
            };
            self.documentation(&header, &other, &[], &steps);
            let pointer = join(&other.pointer, "required");
            match (header.is_true("required"), other.is_true("required")) {
                (false, true) => {
                    self.tell(Rule::HeaderBecameRequired, Effect::CompatibleForCallers, pointer, &steps, (None, None));
                }
                (true, false) => {
                    self.tell(Rule::HeaderBecameOptional, Effect::CompatibleForService, pointer, &steps, (None, None));
                }
                _ => {}
            }
            self.others(&header, &other, &["required", "schema"], &steps);
            self.enqueue(header.get("schema"), other.get("schema"), || At { steps, side: Side::Answer });
        }
        for (name, header) in after {
            let steps = [steps, &[format!("header {name}")]].concat();
            self.tell(Rule::HeaderAdded, Effect::CompatibleForCallers, header.pointer, &steps, (None, None));
        }
    }

    fn content(&mut self, old: &Found<'a>, new: &Found<'a>, side: Side, steps: &[String]) {
        let list = |found: &Found<'a>| -> BTreeMap<String, Found<'a>> {
            let content = found.get("content").into_iter().flat_map(|list| list.members().collect::<Vec<_>>());
            content.map(|(name, media)| (name.to_ascii_lowercase(), media)).collect()
        };
        let (before, mut after) = (list(old), list(new));
        let (on_added, on_removed) = match side {
            Side::Request => (Effect::CompatibleForCallers, Effect::CompatibleForService),
            Side::Answer => (Effect::CompatibleForService, Effect::CompatibleForCallers),
        };
        // JSON goes without saying.
        let is_only = before.len() < 2 && after.len() < 2;
        let steps = |name: &str| match is_only && name == "application/json" {
            true => steps.to_vec(),
            false => [steps, &[name.to_owned()]].concat(),
        };
        for (name, media) in before {
            let Some(other) = after.remove(&name) else {
                self.tell(Rule::MediaTypeRemoved, on_removed, media.pointer, &steps(&name), (None, None));
                continue;
            };
            let steps = steps(&name);
            self.documentation(&media, &other, &[], &steps);
            self.others(&media, &other, &["schema"], &steps);
            self.enqueue(media.get("schema"), other.get("schema"), || At { steps, side });
        }
        for (name, media) in after {
            self.tell(Rule::MediaTypeAdded, on_added, media.pointer, &steps(&name), (None, None));
        }
    }
}

fn title(verb: &str, path: &str) -> String {
    format!("{} {path}", verb.to_ascii_uppercase())
}

/// A path's parameter always is.
fn is_required(parameter: &Found<'_>) -> bool {
    parameter.is_true("required") || parameter.text("in") == Some("path")
}

fn same_but_description(old: &Found<'_>, new: &Found<'_>) -> bool {
    let rest = |found: &Found<'_>| -> BTreeMap<String, String> {
        let members = found.members().filter(|(key, _)| *key != "description" && !key.starts_with("x-"));
        members.map(|(key, member)| (key.to_owned(), member.value.to_string())).collect()
    };
    rest(old) == rest(new)
}
