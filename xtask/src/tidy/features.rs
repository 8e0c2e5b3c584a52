//! `up` builds the services after the command: no registry crate may be compiled a second time for them, so both builds
//! must choose the same features. And each crate that is there twice has a reason.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::command::{cargo, output};

/// What `cargo run -- up examples/craterate` builds second.
const SERVICES: [&str; 6] = [
    "shipping-application",
    "shipping-cost-calculator",
    "parcel-booking",
    "invoicing",
    "parcel-tracking",
    "statistics",
];

pub(super) fn check() -> Result<Vec<String>> {
    let first = tree(&["samspill-cli"])?;
    let second = tree(&SERVICES)?;
    let (of_command, of_services) = (features(&first), features(&second));
    let mut mistakes = Vec::new();
    for (package, variants) in &of_services {
        let Some(built) = of_command.get(package) else { continue };
        for again in variants.difference(built) {
            mistakes.push(format!(
                "{package} would be built twice: the command chooses {built:?}, the services [{again}]; name the union in \
                 crates/build-features"
            ));
        }
    }
    mistakes.extend(super::duplicates(&[first, second].concat()));
    Ok(mistakes)
}

/// One line per crate that is compiled, for the target or for a build script: name, version, features.
fn tree(packages: &[&str]) -> Result<String> {
    let mut arguments =
        vec!["tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}\t{f}"];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    output(&mut cargo(&arguments))
}

/// Each registry crate with every choice of features that it is compiled with: for the target, and for the host.
fn features(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines().filter(|line| !line.contains("(/")) {
        if let Some((package, features)) = line.split_once('\t') {
            found.entry(package).or_default().insert(features);
        }
    }
    found
}
