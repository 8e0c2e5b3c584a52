//! Dependencies that no line of code names.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::{FEATURES_CRATE, Package};
use crate::command::root;

/// Named by generated code only, or by another name than the package's.
const NAMED_OTHERWISE: [&str; 3] = ["prost", "tonic-prost", "rustls-webpki"];

pub(super) fn check(packages: &[Package]) -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    let mut used_somewhere: BTreeSet<&str> = BTreeSet::new();
    for package in packages {
        used_somewhere.insert(&package.name);
        used_somewhere.extend(package.dependencies.iter().map(|dependency| dependency.name.as_str()));
        if package.name == FEATURES_CRATE {
            continue;
        }
        let folder = Path::new(&package.manifest_path).parent().unwrap_or(root());
        let code = code_below(folder)?;
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_named = code.contains(&name.replace('-', "_")) || NAMED_OTHERWISE.contains(&name);
            if !is_named && name != FEATURES_CRATE && dependency.kind.as_deref() != Some("build") {
                mistakes.push(format!("{}: nothing uses {name}", package.manifest_path));
            }
        }
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let listed = manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    for line in listed.unwrap_or_default().lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once('=')
            && !used_somewhere.contains(name.trim())
        {
            mistakes.push(format!("Cargo.toml: no member uses {}", name.trim()));
        }
    }
    Ok(mistakes)
}

/// All Rust code of a member, in one text.
fn code_below(folder: &Path) -> Result<String> {
    let mut code = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            code.push_str(&code_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(code)
}
