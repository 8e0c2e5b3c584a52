//! The kinds of objects that a folder may hold, as they are written: places kept, nothing resolved yet.

pub(crate) mod container;
pub(crate) mod deployment;
pub(crate) mod probe;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod values;

use std::collections::BTreeMap;

use crate::mistake::{Mistake, closest, listed, quoted};
use crate::read::{Document, Fields, Item, Located};
use crate::yaml::{Node, Value};

use container::Container;
use deployment::Deployment;
use route::Route;
use service::Service;
use values::Values;

/// `apiVersion` and `kind` of all that can be read.
pub(crate) const KINDS: [(&str, &str); 8] = [
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "Namespace"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
];

/// An object and its name.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) kind: &'static str,
    pub(crate) metadata: Metadata,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Deployment(Box<Deployment>),
    Service(Service),
    Values(Values),
    Route(Route),
    /// Its existence is all that matters here.
    Named,
}

#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) name: Located<String>,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, Located<String>>,
    /// Whether `name` is one that the object can have; otherwise it has been reported.
    pub(crate) is_well_named: bool,
}

/// The kinds that a document may have been meant to be, which could not be read and has been reported.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) Vec<&'static str>);

/// Reads one document.
pub(crate) fn object(node: &Node, document: &mut Document<'_>) -> Result<Object, Unreadable> {
    let (api_version, kind) = (top_level(node, "apiVersion"), top_level(node, "kind"));
    document.kind = kind.unwrap_or("object").to_owned();
    document.secret = kind == Some("Secret");
    let known = KINDS.iter().find(|(_, name)| Some(*name) == kind);
    let root = Item::root(node, document);
    let Some((expected, kind)) = known else {
        return Err(Unreadable(unknown_kind(&root, api_version)));
    };
    let mut fields = root.fields();
    if let Some(item) = fields.required("apiVersion")
        && let Some(found) = item.string()
        && found.value != *expected
    {
        let message = format!("{} is not the apiVersion of a {kind}", quoted(&found.value));
        item.report(item.mistake(message).expected(format!("`{expected}`")));
    }
    fields.optional("kind");
    let metadata = fields.required("metadata").and_then(|item| metadata(&item, kind));
    let body = match *kind {
        "Deployment" => Some(Body::Deployment(Box::new(deployment::read(&mut fields)))),
        "Service" => Some(Body::Service(service::read(&mut fields))),
        "ConfigMap" => Some(Body::Values(values::config_map(&mut fields))),
        "Secret" => Some(Body::Values(values::secret(&mut fields))),
        "HTTPRoute" => Some(Body::Route(route::read(&mut fields))),
        "ServiceAccount" => {
            fields.cluster_only(&["automountServiceAccountToken", "imagePullSecrets", "secrets"]);
            Some(Body::Named)
        }
        _ => {
            fields.cluster_only(&["spec", "status"]);
            Some(Body::Named)
        }
    };
    fields.finish();
    match (metadata, body) {
        (Some(metadata), Some(body)) => Ok(Object { kind, metadata, body }),
        _ => Err(Unreadable(vec![kind])),
    }
}

/// A string among the document's own fields, for deciding how to read the rest.
fn top_level<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    let Value::Mapping(entries) = &node.value else { return None };
    match &entries.iter().find(|(key, _)| key.text == name)?.1.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// Reports a kind that is none of ours, and says which of ours may have been meant.
fn unknown_kind(root: &Item<'_>, api_version: Option<&str>) -> Vec<&'static str> {
    let names = KINDS.map(|(_, name)| name);
    let mut fields = if root.is_mapping() { Some(root.fields()) } else { None };
    let kind = fields.as_mut().and_then(|fields| fields.optional("kind"));
    let Some(item) = kind else {
        let mistake =
            root.mistake("this document is no Kubernetes object").expected("`apiVersion`, `kind`, `metadata`");
        root.report(match api_version {
            Some(_) => mistake.hint("its `kind` is missing"),
            None => mistake.hint("a file that is no manifest is not read if its name begins with a dot"),
        });
        return names.into();
    };
    let Some(kind) = item.string() else { return names.into() };
    let near = closest(&kind.value, names);
    let mistake = item
        .mistake(format!("the kind {} is not supported here", quoted(&kind.value)))
        .expected(listed(names))
        .did_you_mean(near);
    let (mistake, meant) = match kind.value.as_str() {
        "Pod" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            (mistake.hint("write it as a Deployment"), vec!["Deployment"])
        }
        "Ingress" => (mistake.hint("write it as an HTTPRoute whose parent is the Gateway `edge`"), vec!["HTTPRoute"]),
        "List" => (mistake.hint("write its items as documents of their own, with `---` between them"), names.into()),
        "HorizontalPodAutoscaler" => (mistake.hint("set `replicas`, or use `samspill scale`"), Vec::new()),
        _ => (mistake, near.into_iter().collect()),
    };
    item.report(mistake);
    meant
}

/// `metadata`; `None` without a name, which has been reported.
fn metadata(item: &Item<'_>, kind: &str) -> Option<Metadata> {
    let mut fields = item.fields();
    let is_host = matches!(kind, "Deployment" | "Service" | "Namespace");
    let mut is_well_named = false;
    let name = fields.required("name").and_then(|name| {
        let checked = if is_host { name.label() } else { name.dotted_name() };
        is_well_named = checked.is_some();
        checked.or_else(|| name.unchecked()) // for the mistakes in the rest of the object
    });
    let namespace = fields.optional("namespace").and_then(|namespace| namespace.label());
    let labels = fields.optional("labels").map(|labels| labels.labels()).unwrap_or_default();
    cluster_metadata(&mut fields);
    fields.unsupported("generateName", "give the object a name");
    fields.finish();
    let namespace = namespace.map_or_else(|| "default".to_owned(), |namespace| namespace.value);
    Some(Metadata { name: name?, namespace, labels, is_well_named })
}

/// What a cluster writes into `metadata`, or its tools read there.
fn cluster_metadata(fields: &mut Fields<'_>) {
    fields.cluster_only(&[
        "annotations",
        "creationTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ]);
}

/// Reports a list where exactly one item is meant.
fn exactly_one<'a>(item: &Item<'a>, what: &str, hint: &str) -> Option<Item<'a>> {
    let items = item.items();
    match items.as_slice() {
        [] => item.report(item.mistake(format!("the list is empty: one {what} is needed"))),
        [_] => {}
        [_, second, ..] => second.report(second.mistake(format!("only one {what} is supported here")).hint(hint)),
    }
    items.into_iter().next()
}

/// A list of objects that have a unique `name`.
fn refuse_repeated(names: &[&Located<String>], what: &str, mistakes: &crate::read::Findings) {
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = names[..index].iter().find(|first| first.value == name.value) {
            let message = format!("the {what} {} is given twice", quoted(&name.value));
            mistakes.mistake(Mistake::at(message, &name.at).also("first here", &first.at));
        }
    }
}
