//! The files, with holes for the names.

use super::name::Name;
use super::place::Plan;
use super::workspace::Manifests;

const API: &str = include_str!("templates/api.rs");
const DOCUMENT: &str = include_str!("templates/v1.json");
const README: &str = include_str!("templates/api.md");
const MAIN: &str = include_str!("templates/main.rs");
const APP: &str = include_str!("templates/app.rs");
const MANIFEST: &str = include_str!("templates/manifest.yaml");
const LOCAL: &str = include_str!("templates/local.yaml");

/// The contract, in a folder of the new one.
pub(super) fn api(name: &Name, manifests: &Manifests<'_>, folder: &str, plan: &mut Plan) {
    let dependencies = ["garde", "samspill", "schemars", "serde"].map(|package| manifests.dependency(package));
    let manifest = format!(
        "{}\n[lib]\ndoctest = false\n\n[dependencies]\n{}",
        manifests.package(&name.api_package()),
        dependencies.concat()
    );
    plan.file(format!("{folder}Cargo.toml"), manifest);
    plan.file(format!("{folder}README.md"), filled(README, name));
    plan.file(format!("{folder}openapi/v1.json"), filled(DOCUMENT, name));
    plan.file(format!("{folder}src/lib.rs"), filled(API, name));
}

/// The service beside it.
pub(super) fn service(name: &Name, manifests: &Manifests<'_>, namespace: &str, image: &str, plan: &mut Plan) {
    let manifest = format!(
        "{}\n[dependencies]\n{api} = {{ path = \"api\" }}\n{}\n[dev-dependencies]\n{}",
        manifests.package(name.dns()),
        manifests.dependency("samspill"),
        manifests.dependency("tokio"),
        api = name.api_package(),
    );
    plan.file("Cargo.toml", manifest);
    let in_mesh = filled(MANIFEST, name).replace("{{namespace}}", namespace).replace("{{image}}", image);
    plan.file(format!("{}.yaml", name.dns()), in_mesh);
    plan.file("src/app.rs", filled(APP, name));
    plan.file("src/main.rs", filled(MAIN, name));
}

/// A `samspill.local.yaml` for the first service of a folder.
pub(super) fn local(name: &Name, image: &str) -> String {
    filled(LOCAL, name).replace("{{image}}", image)
}

/// Whether the code uses a name for something of its own.
pub(super) fn uses(identifier: &str) -> bool {
    let code = [API, APP].into_iter().flat_map(str::lines).filter(|line| !line.trim_start().starts_with("//"));
    let words = |line: &'static str| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    code.flat_map(words).any(|word| word == identifier)
}

fn filled(template: &str, name: &Name) -> String {
    template
        .replace("{{name}}", name.dns())
        .replace("{{Trait}}", &name.of_trait())
        .replace("{{crate}}", &name.api_crate())
        .replace("{{crate-name}}", &name.api_package())
}
