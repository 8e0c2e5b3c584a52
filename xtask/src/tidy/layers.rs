//! Which of our crates may use which: the table of `docs/design` §2 and ARCHITECTURE.md, as code.

use super::Package;

/// A member, and our crates that it may depend on. What is not listed is forbidden; a new edge is its own decision.
const MAY_USE: &[(&str, &[&str])] = &[
    ("samspill-build-features", &[]),
    ("samspill-model", &["samspill-build-features"]),
    ("samspill-net", &["samspill-model"]),
    ("samspill-observability", &["samspill-model", "samspill-net"]),
    ("samspill-identity", &["samspill-model", "samspill-net"]),
    ("samspill-engine", &["samspill-model", "samspill-net", "samspill-identity", "samspill-observability"]),
    ("samspill-xds", &["samspill-model", "samspill-net"]),
    ("samspill-manifest", &["samspill-model"]),
    ("samspill-compat", &[]),
    ("samspill-macros", &[]),
    ("samspill", &["samspill-macros", "samspill-model", "samspill-net", "samspill-observability"]),
    (
        "samspill-proxy",
        &[
            "samspill-engine",
            "samspill-xds",
            "samspill-identity",
            "samspill-net",
            "samspill-observability",
            "samspill-model",
        ],
    ),
    (
        "samspill-controller",
        &["samspill-xds", "samspill-identity", "samspill-net", "samspill-observability", "samspill-model", "samspill"],
    ),
    ("samspill-runtime", &["samspill-model", "samspill-net", "samspill-observability"]),
    (
        "samspill-cli",
        &[
            "samspill-controller",
            "samspill-proxy",
            "samspill-runtime",
            "samspill-manifest",
            "samspill-compat",
            "samspill-observability",
            "samspill-model",
            "samspill-net",
        ],
    ),
    ("craterate-common", &["samspill"]),
    ("craterate-storage", &["samspill"]),
    ("shipping-cost-calculator-api", &["samspill", "craterate-common"]),
    ("parcel-booking-api", &["samspill", "craterate-common"]),
    ("invoicing-api", &["samspill", "craterate-common"]),
    ("parcel-tracking-api", &["samspill", "craterate-common"]),
    ("statistics-api", &["samspill", "craterate-common"]),
    (
        "shipping-application",
        &[
            "samspill",
            "craterate-common",
            "shipping-cost-calculator-api",
            "parcel-booking-api",
            "parcel-tracking-api",
            "invoicing-api",
        ],
    ),
    ("shipping-cost-calculator", &["samspill", "craterate-common", "shipping-cost-calculator-api"]),
    (
        "parcel-booking",
        &[
            "samspill",
            "craterate-common",
            "craterate-storage",
            "parcel-booking-api",
            "shipping-cost-calculator-api",
            "parcel-tracking-api",
            "invoicing-api",
            "statistics-api",
        ],
    ),
    ("invoicing", &["samspill", "craterate-common", "craterate-storage", "invoicing-api"]),
    ("parcel-tracking", &["samspill", "craterate-common", "craterate-storage", "parcel-tracking-api"]),
    ("statistics", &["samspill", "craterate-common", "craterate-storage", "statistics-api"]),
];

/// Members that are for development only and may use anything.
const TOOLS: &[&str] = &["samspill-testkit", "samspill-tests", "xtask"];

pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for package in packages.iter().filter(|package| !TOOLS.contains(&package.name.as_str())) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            mistakes.push(format!("{}: give it a line in xtask/src/tidy/layers.rs", package.name));
            continue;
        };
        let used = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some() && dependency.kind.as_deref() != Some("dev"));
        for dependency in used {
            if !allowed.contains(&dependency.name.as_str()) {
                mistakes.push(format!("{} must not use {}: see ARCHITECTURE.md", package.name, dependency.name));
            }
        }
    }
    mistakes
}
