//! The rules that no compiler knows. All mistakes are told in one run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::command::{cargo, output};

mod features;
mod files;
mod layers;
mod unused;

/// What `cargo metadata --no-deps` says, as far as it is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

pub(crate) fn run() -> Result<()> {
    let metadata: Metadata =
        serde_json::from_str(&output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?)?;
    let mut mistakes = Vec::new();
    mistakes.extend(layers::check(&metadata.packages));
    mistakes.extend(manifests(&metadata.packages)?);
    mistakes.extend(unused::check(&metadata.packages)?);
    mistakes.extend(files::check()?);
    mistakes.extend(features::check()?);
    if mistakes.is_empty() {
        return Ok(());
    }
    for mistake in &mistakes {
        eprintln!("tidy: {mistake}");
    }
    bail!("{} rules are broken", mistakes.len());
}

/// The one member that chooses features beside the root.
const FEATURES_CRATE: &str = "samspill-build-features";

/// Each member takes its lints, versions and features from the workspace.
fn manifests(packages: &[Package]) -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    for package in packages {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            mistakes.push(format!("{}: write `[lints]` with `workspace = true`", package.manifest_path));
        }
        if package.name == FEATURES_CRATE {
            continue;
        }
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if section.ends_with("dependencies]")
                && line.contains('=')
                && !line.starts_with('#')
                && (!line.contains("workspace = true") || line.contains("features ="))
            {
                mistakes.push(format!(
                    "{}: `{line}`: version and features are chosen in the root's [workspace.dependencies]",
                    package.manifest_path
                ));
            }
        }
    }
    Ok(mistakes)
}

/// Versions in the lock file of which the tree needs two, each with its reason. Adding a line here is a decision.
const DUPLICATES: [(&str, &str); 17] = [
    ("base64", "tonic and sqlx still use 0.22, pem (of rcgen) and serde-saphyr use 0.23"),
    ("block-buffer", "follows digest"),
    ("cpufeatures", "follows sha2"),
    ("crypto-common", "follows digest"),
    ("digest", "follows sha2"),
    ("foldhash", "follows hashbrown"),
    ("getrandom", "rand 0.9 uses 0.3, tempfile (of prost-build) uses 0.4"),
    ("hashbrown", "hashlink (of sqlx) still uses 0.16, indexmap (of h2) uses 0.17"),
    ("itertools", "prost-build and prost-derive use two"),
    ("pem", "jsonwebtoken still uses 3, rcgen uses 4"),
    ("rand", "sqlx-postgres uses 0.10, we and tungstenite (of axum) use 0.9"),
    ("rand_core", "follows rand"),
    ("sha2", "sqlx-postgres uses 0.11, we and sqlx-core use 0.10"),
    ("syn", "derive macros are moving from 2 to 3"),
    ("synstructure", "follows syn"),
    ("unicode-width", "miette (of protox) uses 0.1, annotate-snippets (of serde-saphyr) uses 0.2"),
    ("untrusted", "aws-lc-rs uses 0.7, rustls-webpki 0.9"),
];

/// Crates with several versions in the tree that is built.
fn duplicates(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let explained: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _reason)| *name).collect();
    let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let mut mistakes: Vec<String> = several
        .clone()
        .filter(|(name, _)| !explained.contains(**name))
        .map(|(name, versions)| {
            format!("{name} is in the tree {} times: {versions:?}; say why in xtask/src/tidy.rs", versions.len())
        })
        .collect();
    let present: BTreeSet<&str> = several.map(|(name, _)| *name).collect();
    mistakes
        .extend(explained.difference(&present).map(|name| format!("{name} has one version only: remove its reason")));
    mistakes
}
