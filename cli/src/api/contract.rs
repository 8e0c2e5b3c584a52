//! Which contracts a tree of files has.

use std::collections::BTreeMap;

use samspill_compat::{Deprecated, OpenApi, Proto};
use samspill_observability::chain;

use crate::exit::Failure;

/// One version of a contract.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) name: String,
    /// `v2`; empty for a protobuf package without a number.
    pub(super) version: String,
    /// For people and scripts: the document's path, or the paths of a package's files.
    pub(super) file: String,
    /// By what it is found again in another tree.
    pub(super) key: String,
    pub(super) document: Document,
}

#[derive(Debug)]
pub(super) enum Document {
    OpenApi(OpenApi),
    Proto(Proto),
}

impl Contract {
    pub(super) fn kind(&self) -> &'static str {
        match self.document {
            Document::OpenApi(_) => "openapi",
            Document::Proto(_) => "protobuf",
        }
    }

    pub(super) fn operations(&self) -> usize {
        match &self.document {
            Document::OpenApi(document) => document.operations(),
            Document::Proto(package) => package.operations(),
        }
    }

    pub(super) fn deprecated(&self) -> Option<Deprecated> {
        match &self.document {
            Document::OpenApi(document) => document.deprecated(),
            Document::Proto(_) => None,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.version.trim_start_matches('v').parse().unwrap_or_default()
    }
}

/// The contracts of a tree, and what cannot be read: place and reason.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) contracts: Vec<Contract>,
    pub(super) mistakes: Vec<String>,
}

/// Whether a file is, or is a part of, a contract's document.
pub(super) fn is_document(file: &str) -> bool {
    openapi(file).is_some() || proto(file).is_some()
}

/// Finds the contracts below `scope` among `files`, which are read by `read`.
///
/// Protobuf files outside of the scope are read too: they may be imported.
pub(super) fn find(
    files: &[String],
    scope: &str,
    read: impl Fn(&str) -> Result<String, Failure>,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    for file in files.iter().filter(|file| is_below(file, scope)) {
        let Some((name, version)) = openapi(file) else { continue };
        match OpenApi::parse(&read(file)?) {
            Ok(document) => found.contracts.push(Contract {
                name: document.title().or(name).unwrap_or_default().to_owned(),
                version: version.to_owned(),
                file: file.clone(),
                key: file.clone(),
                document: Document::OpenApi(document),
            }),
            Err(error) => found.mistakes.push(format!("{file}: {}", chain(&error))),
        }
    }
    let mut folders: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for file in files {
        if let Some((folder, name)) = proto(file) {
            folders.entry(folder).or_default().insert(name.to_owned(), read(file)?);
        }
    }
    for (folder, own) in &folders {
        let path = |name: &str| format!("{folder}/{name}");
        if own.keys().any(|name| is_below(&path(name), scope)) {
            let others: Vec<_> = folders.iter().filter(|(other, _)| *other != folder).map(|(_, files)| files).collect();
            match Proto::compile(own, &others) {
                Ok(packages) => found.contracts.extend(
                    packages
                        .into_iter()
                        .filter(|(_, package)| package.files().any(|name| is_below(&path(name), scope)))
                        .map(|(name, package)| of_package(folder, &name, package)),
                ),
                Err(error) => found.mistakes.push(format!("{folder}/{error}")),
            }
        }
    }
    found
        .contracts
        .sort_by(|a, b| (&a.name, a.kind(), a.number(), &a.file).cmp(&(&b.name, b.kind(), b.number(), &b.file)));
    Ok(found)
}

fn of_package(folder: &str, package: &str, document: Proto) -> Contract {
    let (name, version) = match package.rsplit_once('.') {
        Some((name, last)) if is_version(last) => (name, last),
        _ => (package, ""),
    };
    let files: Vec<String> = document.files().map(|name| format!("{folder}/{name}")).collect();
    Contract {
        name: name.to_owned(),
        version: version.to_owned(),
        file: files.join(", "),
        key: format!("{folder}:{package}"),
        document: Document::Proto(document),
    }
}

/// `…/openapi/<name>/v<N>.json`, or `…/<name>/openapi/v<N>.json` in a crate with one contract: name (none at the root) and version.
fn openapi(file: &str) -> Option<(Option<&str>, &str)> {
    let mut parts = file.rsplit('/');
    let version = parts.next()?.strip_suffix(".json").filter(|version| is_version(version))?;
    let (parent, above) = (parts.next()?, parts.next());
    match (parent, above) {
        ("openapi", above) => Some((above, version)),
        (name, Some("openapi")) => Some((Some(name), version)),
        _ => None,
    }
}

/// The uppermost folder `proto`, and the file's name as others import it.
fn proto(file: &str) -> Option<(&str, &str)> {
    let start = if file.starts_with("proto/") { 0 } else { file.find("/proto/")? + 1 };
    let (folder, name) = file.split_at(start + "proto".len());
    name.strip_prefix('/').filter(|name| name.ends_with(".proto")).map(|name| (folder, name))
}

/// `v1`, and no `v01`.
fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix('v').unwrap_or_default();
    digits.len() < 10
        && digits.starts_with(|c: char| ('1'..='9').contains(&c))
        && digits.bytes().all(|c| c.is_ascii_digit())
}

fn is_below(file: &str, scope: &str) -> bool {
    scope.is_empty() || file.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_known_by_their_path() {
        assert_eq!(openapi("shop/api/openapi/quotes/v2.json"), Some((Some("quotes"), "v2")));
        assert_eq!(openapi("shop/quotes/openapi/v12.json"), Some((Some("quotes"), "v12")));
        assert_eq!(openapi("openapi/v1.json"), Some((None, "v1")));
        for other in [
            "openapi/v1.yaml",
            "openapi/v01.json",
            "openapi/v0.json",
            "openapi/latest.json",
            "v1.json",
            "api/v1.json",
            "openapi/a/b/v1.json",
        ] {
            assert_eq!(openapi(other), None, "{other}");
        }
        assert_eq!(proto("a/proto/shop/v1/shop.proto"), Some(("a/proto", "shop/v1/shop.proto")));
        assert_eq!(proto("proto/proto/x.proto"), Some(("proto", "proto/x.proto")));
        for other in ["a/proto.proto", "proto/readme.md", "protos/x.proto", "x.proto"] {
            assert_eq!(proto(other), None, "{other}");
        }
    }

    #[test]
    fn a_scope_is_a_folder_not_a_beginning() {
        assert!(is_below("a/b.json", "a") && is_below("a/b.json", ""));
        assert!(!is_below("ab/c.json", "a"));
    }
}
