//! Cargo's side: the workspace that the new crates join, or a new one, and what their `Cargo.toml` say.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use toml_edit::{Array, DocumentMut, Item, Value};

use super::place::Plan;
use crate::environment;
use crate::exit::Failure;

/// Our own: which versions and features the generated code is tried with.
const OURS: &str = include_str!("../../../Cargo.toml");
const NEW: &str = include_str!("templates/workspace.toml");
/// What the generated code uses of others.
const DEPENDENCIES: [&str; 4] = ["garde", "schemars", "serde", "tokio"];

/// A workspace that is there.
#[derive(Debug)]
pub(super) struct Workspace {
    manifest: PathBuf,
    text: String,
    document: DocumentMut,
}

impl Workspace {
    /// The one that cargo would find for a new folder `name` in `folder`.
    ///
    /// # Errors
    /// A `Cargo.toml` on the way up cannot be read.
    pub(super) fn find(folder: &Path, name: &str) -> Result<Option<Self>, Failure> {
        for root in folder.ancestors() {
            let manifest = root.join("Cargo.toml");
            let text = match std::fs::read_to_string(&manifest) {
                Ok(text) => text,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                Err(error) => return Err(Failure::new(format!("cannot read `{}`: {error}", manifest.display()))),
            };
            let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
                Failure::usage(format!("`{}` is no TOML: {}", manifest.display(), error.message()))
            })?;
            let workspace = Self { manifest, text, document };
            let is_excluded = workspace.list("exclude").any(|path| folder.join(name).starts_with(root.join(path)));
            if workspace.document.get("workspace").is_some() && !is_excluded {
                return Ok(Some(workspace));
            }
        }
        Ok(None)
    }

    /// The root's `Cargo.toml`, absolute.
    pub(super) fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// Whether members can write `package.workspace = true`.
    pub(super) fn has_dependency(&self, package: &str) -> bool {
        self.table("dependencies", package).is_some()
    }

    /// # Errors
    /// A package is called like one of the new ones, or cargo cannot read the workspace.
    pub(super) fn must_not_have(&self, packages: &[&str]) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            manifest_path: PathBuf,
        }
        let output = Command::new(environment::cargo())
            .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
            .arg(&self.manifest)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::new(format!("cargo does not run: {error}")).hint("samspill check"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("cargo cannot read the workspace `{}`", self.manifest.display()))
                .hint(format!("cargo says: {}", said.trim())));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(Failure::new)?;
        match metadata.packages.iter().find(|package| packages.contains(&package.name.as_str())) {
            None => Ok(()),
            Some(Package { name, manifest_path }) => Err(Failure::new(format!(
                "the workspace has a package `{name}` already: `{}`",
                manifest_path.display()
            ))
            .hint("take another name")),
        }
    }

    /// Plans the members' lines in the root's `Cargo.toml`, where no glob covers them. `members` are folders in `folder`.
    ///
    /// # Errors
    /// `members` is no list.
    pub(super) fn add_members(&self, folder: &Path, members: &[String], plan: &mut Plan) -> Result<(), Failure> {
        let root = self.manifest.parent().unwrap_or(folder);
        let inside = folder.strip_prefix(root).unwrap_or(folder);
        let paths = members.iter().map(|member| inside.join(member).display().to_string());
        let missing: Vec<String> =
            paths.filter(|path| !self.list("members").any(|pattern| covers(&pattern, path))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut document = self.document.clone();
        let list = document["workspace"]
            .as_table_like_mut()
            .map(|workspace| workspace.entry("members").or_insert_with(|| Item::Value(Value::Array(Array::new()))));
        let Some(list) = list.and_then(Item::as_array_mut) else {
            return Err(Failure::usage(format!("`members` in `{}` is no list", self.manifest.display())));
        };
        missing.iter().for_each(|path| push(list, path));
        let what = format!("workspace members {}", missing.join(", "));
        plan.edit(self.manifest.clone(), self.text.clone(), document.to_string(), what);
        Ok(())
    }

    /// `workspace.TABLE.KEY`.
    fn table(&self, table: &str, key: &str) -> Option<&Item> {
        self.document.get("workspace")?.get(table)?.get(key)
    }

    /// The texts in `workspace.KEY`.
    fn list(&self, key: &str) -> impl Iterator<Item = String> {
        let list = self.document.get("workspace").and_then(|workspace| workspace.get(key)).and_then(Item::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(|path| path.trim_end_matches('/').to_owned())
    }
}

/// Adds an element as the ones before it are written, and leaves everything else as it is.
fn push(list: &mut Array, path: &str) {
    let text = |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let mut value = Value::from(path);
    let Some(last) = list.len().checked_sub(1).and_then(|last| list.get_mut(last)) else {
        list.push(value);
        return;
    };
    let (prefix, suffix) = (text(last.decor().prefix()), text(last.decor().suffix()));
    let own_line = prefix.rfind('\n').map(|line| prefix[line..].to_owned());
    last.decor_mut().set_suffix("");
    // A comment behind the last element stays there.
    let trailing = text(Some(list.trailing()));
    let (comment, end) = trailing.split_at(trailing.rfind('\n').unwrap_or(0));
    let indent = own_line.unwrap_or_else(|| if list.len() == 1 && prefix.is_empty() { " ".to_owned() } else { prefix });
    value.decor_mut().set_prefix(format!("{comment}{indent}"));
    value.decor_mut().set_suffix(suffix);
    let end = end.to_owned();
    list.set_trailing(end);
    list.push_formatted(value);
}

/// Whether a path pattern of cargo has a folder. Of globs only `*` and `?` are understood: a member that is named twice is
/// no mistake.
fn covers(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.trim_start_matches("./").split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| matches(pattern.as_bytes(), part.as_bytes()))
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        [b'?', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && matches(rest, &text[1..]),
    }
}

/// Where the crate `samspill` comes from, as long as no registry has it.
#[derive(Debug)]
pub(super) struct Source {
    /// The checkout.
    root: PathBuf,
}

impl Source {
    /// What was typed, else the checkout that this command was compiled in.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn find(typed: Option<&Path>) -> Result<Self, Failure> {
        let here = |root: &Path| root.join("framework/Cargo.toml").is_file() && root.join("Cargo.toml").is_file();
        if let Some(typed) = typed {
            let root = [Some(typed), typed.parent()].into_iter().flatten().find(|root| here(root));
            let root = root.and_then(|root| root.canonicalize().ok());
            return root.map(|root| Self { root }).ok_or_else(|| {
                Failure::usage(format!("`{}` is no checkout of Samspill", typed.display()))
                    .hint("--samspill names the folder that has `framework/Cargo.toml`")
            });
        }
        let built_from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        match built_from.canonicalize() {
            Ok(root) if here(&root) => Ok(Self { root }),
            _ => Err(Failure::new(format!(
                "where the crate `samspill` is cannot be known: it is not published yet, and the checkout that this command \
                 was built from is gone (`{}`)",
                built_from.parent().unwrap_or(built_from).display()
            ))
            .hint("say where a checkout is: --samspill DIR")),
        }
    }

    /// Plans a workspace around the new members.
    ///
    /// # Errors
    /// The checkout cannot be read.
    pub(super) fn new_workspace(&self, members: &[String], plan: &mut Plan) -> Result<(), Failure> {
        let members: String = members.iter().map(|member| format!("  \"{member}\",\n")).collect();
        let dependencies: String = std::iter::once(self.line()).chain(DEPENDENCIES.map(line)).collect();
        plan.beside("Cargo.toml", NEW.replace("{{members}}", &members).replace("{{dependencies}}", &dependencies));
        // The versions that samspill is tried with. Cargo leaves out what is not needed.
        let lock = self.root.join("Cargo.lock");
        let versions = std::fs::read_to_string(&lock)
            .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", lock.display())))?;
        plan.beside("Cargo.lock", versions);
        plan.beside_unless_there(".gitignore", "/target\n/.samspill\n".to_owned());
        Ok(())
    }

    fn line(&self) -> String {
        format!("samspill = {{ path = {} }}\n", Value::from(self.root.join("framework").display().to_string()))
    }
}

/// What the members' `Cargo.toml` say.
pub(super) struct Manifests<'a> {
    /// The workspace that is there, if any; a new one has every entry.
    pub(super) workspace: Option<&'a Workspace>,
    pub(super) source: Option<&'a Source>,
}

impl Manifests<'_> {
    /// The section `[package]`, and `[lints]` where the workspace has them.
    pub(super) fn package(&self, name: &str) -> String {
        let mut text = format!("[package]\nname = \"{name}\"\n");
        for (key, value) in
            [("edition", "\"2024\""), ("rust-version", "\"1.95\""), ("version", "\"0.1.0\""), ("publish", "false")]
        {
            let is_inherited = self.workspace.is_none_or(|workspace| workspace.table("package", key).is_some());
            text.push_str(&if is_inherited {
                format!("{key}.workspace = true\n")
            } else {
                format!("{key} = {value}\n")
            });
        }
        if self.workspace.is_some_and(|workspace| workspace.table("package", "license").is_some()) {
            text.push_str("license.workspace = true\n");
        }
        if self.workspace.is_some_and(|workspace| workspace.document["workspace"].get("lints").is_some()) {
            text.push_str("\n[lints]\nworkspace = true\n");
        }
        text
    }

    /// A dependency's line.
    pub(super) fn dependency(&self, package: &str) -> String {
        let is_inherited = self.workspace.is_none_or(|workspace| workspace.has_dependency(package));
        match self.source {
            _ if is_inherited => format!("{package}.workspace = true\n"),
            Some(source) if package == "samspill" => source.line(),
            _ => line(package),
        }
    }
}

/// A dependency as our own workspace has it.
fn line(package: &str) -> String {
    let found = OURS.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix(" = "));
    let found = found.map(|version| version.split(" #").next().unwrap_or(version));
    format!("{package} = {}\n", found.unwrap_or("\"*\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(before: &str, path: &str) -> String {
        let mut document: DocumentMut = before.parse().unwrap();
        push(document["members"].as_array_mut().unwrap(), path);
        document.to_string()
    }

    #[test]
    fn a_member_is_added_as_the_others_are_written() {
        for (before, after) in [
            ("members = []\n", "members = [\"new\"]\n"),
            ("members = [\"a\"]\n", "members = [\"a\", \"new\"]\n"),
            ("members = [\"a\", \"b\"] # c\n", "members = [\"a\", \"b\", \"new\"] # c\n"),
            ("members = [ \"a\" ]\n", "members = [ \"a\", \"new\" ]\n"),
            ("members = [\n  \"a\",\n]\n", "members = [\n  \"a\",\n  \"new\",\n]\n"),
            ("members = [\n  \"a\"\n]\n", "members = [\n  \"a\",\n  \"new\"\n]\n"),
            (
                "members = [\n    # one\n    \"a\",\n    \"b\", # two\n]\n",
                "members = [\n    # one\n    \"a\",\n    \"b\", # two\n    \"new\",\n]\n",
            ),
        ] {
            assert_eq!(added(before, "new"), after);
        }
    }

    #[test]
    fn globs_cover_what_cargo_says() {
        for (pattern, path) in [
            ("orders", "orders"),
            ("*", "orders"),
            ("./services/*", "services/orders"),
            ("examples/craterate/*/api", "examples/craterate/orders/api"),
            ("order?", "orders"),
        ] {
            assert!(covers(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("*", "orders/api"), ("services/*", "orders"), ("order", "orders"), ("a*b", "abc")] {
            assert!(!covers(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn versions_are_those_of_our_own_workspace() {
        assert_eq!(line("schemars"), "schemars = \"1.2\"\n");
        assert_eq!(line("tokio"), "tokio = { version = \"1.54\", features = [\"full\", \"test-util\"] }\n");
        for package in DEPENDENCIES {
            assert!(!line(package).contains('*'), "{package}");
        }
        for key in ["edition", "rust-version"] {
            let of = |text: &str| {
                text.parse::<DocumentMut>().unwrap()["workspace"]["package"][key].as_str().map(str::to_owned)
            };
            assert_eq!(of(&NEW.replace("{{members}}", "").replace("{{dependencies}}", "")), of(OURS), "{key}");
        }
    }
}
