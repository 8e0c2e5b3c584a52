//! `up` builds the services after the command: no registry crate may be compiled a second time for them, so both builds
//! must choose the same features. And each crate that is there twice has a reason.

use std::collections::BTreeMap;

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
    let (first_features, second_features) = (features(&first), features(&second));
    let mut mistakes: Vec<String> = second_features
        .iter()
        .filter_map(|(package, of_services)| {
            let of_command = first_features.get(package)?;
            (of_command != of_services).then(|| {
                format!(
                    "{package} would be built twice: the command chooses [{of_command}], the services [{of_services}]; \
                     name the union in crates/build-features"
                )
            })
        })
        .collect();
    mistakes.extend(super::duplicates(&[first, second].concat()));
    Ok(mistakes)
}

/// One line per crate that is compiled for the target: name, version, features.
fn tree(packages: &[&str]) -> Result<String> {
    let mut arguments = vec!["tree", "--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}\t{f}"];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    output(&mut cargo(&arguments))
}

fn features(tree: &str) -> BTreeMap<&str, &str> {
    let registry = tree.lines().filter(|line| !line.contains("(/"));
    registry.filter_map(|line| line.split_once('\t')).collect()
}
