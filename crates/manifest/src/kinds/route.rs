//! HTTPRoute of the Gateway API, for the edge.

use samspill_model::intent::{PathMatch, PathRewrite};

use crate::mistake::{Place, listed, quoted};
use crate::read::{Fields, Item, Located};

/// The Gateway that stands for the edge.
const EDGE: &str = "edge";

#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    /// Never empty.
    pub(crate) matches: Vec<Located<PathMatch>>,
    pub(crate) rewrite: Option<PathRewrite>,
    pub(crate) backends: Vec<BackendRef>,
}

#[derive(Debug)]
pub(crate) struct BackendRef {
    pub(crate) name: Located<String>,
    pub(crate) port: Located<u16>,
    pub(crate) weight: u32,
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Route {
    fields.cluster_only(&["status"]);
    let Some(spec) = fields.required("spec") else { return Route::default() };
    let mut fields = spec.fields();
    if let Some(parents) = fields.required("parentRefs") {
        parents.items().iter().for_each(parent);
    }
    let rules = fields.required("rules").map(|item| item.items().iter().map(rule).collect());
    fields.cluster_only(&["hostnames"]);
    fields.finish();
    Route { rules: rules.unwrap_or_default() }
}

fn parent(item: &Item<'_>) {
    let mut fields = item.fields();
    fields.optional("group").map(|item| item.one_of(&["gateway.networking.k8s.io"]));
    fields.optional("kind").map(|item| item.one_of(&["Gateway"]));
    fields.required("name").map(|item| item.one_of(&[EDGE]));
    fields.cluster_only(&["namespace", "sectionName", "port"]);
    fields.finish();
}

fn rule(item: &Item<'_>) -> Rule {
    let mut fields = item.fields();
    let matches = fields.optional("matches").map(|item| item.items()).unwrap_or_default();
    let mut paths: Vec<_> = matches.iter().filter_map(path_match).collect();
    if matches.is_empty() {
        paths.push(Located { value: PathMatch::Prefix("/".to_owned()), at: item.place() });
    }
    let filters = fields.optional("filters").map(|item| item.items()).unwrap_or_default();
    let rewrites: Vec<_> = filters.iter().filter_map(|filter_item| Some((filter_item, filter(filter_item)?))).collect();
    if let Some((second, _)) = rewrites.get(1) {
        second.report(second.mistake("only one URLRewrite is possible in a rule"));
    }
    let rewrite = rewrites.into_iter().next();
    if let Some((filter, PathRewrite::ReplacePrefix(_))) = &rewrite
        && let Some(exact) = paths.iter().find(|path| matches!(path.value, PathMatch::Exact(_)))
    {
        let mistake = filter.mistake("ReplacePrefixMatch needs a PathPrefix match");
        filter.report(mistake.also("this one is exact", &exact.at).hint("use ReplaceFullPath"));
    }
    let backends = fields.required("backendRefs").map(|item| item.items().iter().filter_map(backend).collect());
    fields.cluster_only(&["name"]);
    fields.unsupported("timeouts", "deadlines are not built yet");
    fields.unsupported("retry", "only requests that reached no application are tried again, always");
    fields.unsupported("sessionPersistence", "every copy can serve every request");
    fields.finish();
    Rule { matches: paths, rewrite: rewrite.map(|(_, rewrite)| rewrite), backends: backends.unwrap_or_default() }
}

fn path_match(item: &Item<'_>) -> Option<Located<PathMatch>> {
    let mut fields = item.fields();
    let path = fields.optional("path");
    for name in ["headers", "queryParams", "method"] {
        fields.unsupported(name, "only paths are matched here");
    }
    fields.finish();
    let Some(path) = path else {
        return Some(Located { value: PathMatch::Prefix("/".to_owned()), at: item.place() });
    };
    let mut fields = path.fields();
    let kind = fields.optional("type").map(|item| item.one_of(&["PathPrefix", "Exact"]));
    let value = fields.optional("value").map(|item| absolute_path(&item));
    fields.finish();
    let kind = kind.unwrap_or_else(|| Some("PathPrefix".to_owned()))?;
    let value = value.unwrap_or_else(|| Some("/".to_owned()))?;
    let at = path.place();
    Some(Located { value: if kind == "Exact" { PathMatch::Exact(value) } else { prefix(value) }, at })
}

/// `/api/` is the same prefix as `/api` (Gateway API, HTTPPathMatch).
fn prefix(mut value: String) -> PathMatch {
    while value.len() > 1 && value.ends_with('/') {
        value.pop();
    }
    PathMatch::Prefix(value)
}

fn absolute_path(item: &Item<'_>) -> Option<String> {
    let path = item.string()?.value;
    let segments_are_plain = !path.split('/').any(|segment| segment == "." || segment == "..");
    let bytes_are_plain = path.bytes().all(|c| c.is_ascii_graphic() && !b"?#%\\".contains(&c));
    if path.starts_with('/') && !path.contains("//") && segments_are_plain && bytes_are_plain {
        return Some(path);
    }
    let expected = "`/`, then segments of plain ASCII; no `//`, `.`, `..`, `?`, `#` or `%`";
    item.report(item.mistake(format!("{} is no path", quoted(&path))).expected(expected));
    None
}

fn filter(item: &Item<'_>) -> Option<PathRewrite> {
    let mut fields = item.fields();
    let kind = fields.required("type").and_then(|item| item.one_of(&["URLRewrite"]));
    let rewrite = fields.optional("urlRewrite");
    kind?; // if it was refused, its other fields are that filter's
    fields.finish();
    let Some(rewrite) = rewrite else {
        item.report(item.mistake("the field `urlRewrite` is missing"));
        return None;
    };
    let mut fields = rewrite.fields();
    let path = fields.required("path");
    fields.unsupported("hostname", "the service is named by `backendRefs`");
    fields.finish();
    let path = path?;
    let mut fields = path.fields();
    let kind = fields.required("type").and_then(|item| item.one_of(&["ReplacePrefixMatch", "ReplaceFullPath"]));
    let prefix = fields.optional("replacePrefixMatch").map(|item| replacement(&item));
    let full = fields.optional("replaceFullPath").map(|item| replacement(&item));
    fields.finish();
    match (kind?.as_str(), prefix, full) {
        ("ReplacePrefixMatch", Some(prefix), None) => prefix.map(PathRewrite::ReplacePrefix),
        ("ReplaceFullPath", None, Some(full)) => full.map(PathRewrite::ReplaceFull),
        _ => {
            let expected = listed(["replacePrefixMatch", "replaceFullPath"]);
            let mistake = path.mistake("the rewrite does not say what its type needs");
            path.report(mistake.expected(format!("the one of {expected} that `type` names")));
            None
        }
    }
}

/// What is put in place of a path or prefix; an empty one is `/`.
fn replacement(item: &Item<'_>) -> Option<String> {
    if item.string()?.value.is_empty() { Some("/".to_owned()) } else { absolute_path(item) }
}

fn backend(item: &Item<'_>) -> Option<BackendRef> {
    let mut fields = item.fields();
    fields.optional("group").map(|item| item.one_of(&[""]));
    fields.optional("kind").map(|item| item.one_of(&["Service"]));
    let name = fields.required("name").and_then(|item| item.label());
    let number = fields.required("port");
    let at: Option<Place> = number.as_ref().map(Item::place);
    let port = number.and_then(|item| item.port());
    let weight = fields.optional("weight").and_then(|item| item.integer(0..=1_000_000)).unwrap_or(1);
    fields.unsupported("namespace", "put the HTTPRoute into the namespace of the Service");
    fields.unsupported("filters", "put the filter into the rule");
    fields.finish();
    Some(BackendRef { name: name?, port: Located { value: port?, at: at? }, weight })
}
