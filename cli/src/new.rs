//! `samspill new`: a service or an API that compiles, has tests and runs at once.
//!
//! Everything is looked at before anything is written, and all of it is written or nothing. What is written is an example to
//! be replaced; no later command knows that it came from here.
//!
//! Reading order: `name` (what may be called how), `workspace` (cargo's side), `local` (the mesh's side), `templates` (the
//! files), `place` (writing them).

mod name;

mod workspace;

mod local;

mod templates;

mod place;

use std::path::Path;

use crate::args::{DEFAULT_HTTP_PORT, Kind, New};
use crate::environment;
use crate::exit::{Exit, Failure};
use crate::output::print;
use crate::up::command_line;

use local::Mesh;
use name::Name;
use place::Plan;
use workspace::{Source, Workspace};

pub(crate) fn new(args: &New) -> Result<Exit, Failure> {
    // Phase 1: the name.
    let name = Name::try_new(&args.name)?;
    let package = match args.what {
        Kind::Service => name.dns().to_owned(),
        Kind::Api => name.api_package(),
    };
    let folder = place::absolute(&args.path)?;
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::new(format!("`{}` is no folder", args.path.display())));
    }
    let target = folder.join(&package);
    if std::fs::symlink_metadata(&target).is_ok() {
        return Err(Failure::new(format!("`{}` exists already", place::shown(&args.path.join(&package))))
            .hint("take another name, or another folder with --path; nothing is overwritten"));
    }

    // Phase 2: its surroundings.
    let workspace = Workspace::find(&folder, &package)?;
    if let Some(workspace) = &workspace {
        workspace.must_not_have(&[&package, &name.api_package()])?;
    } else {
        must_be_free(&folder, &args.path)?;
    }
    let is_known = workspace.as_ref().is_some_and(|workspace| workspace.has_dependency("samspill"));
    let source = match &args.samspill {
        None if is_known => None,
        Some(_) if is_known => {
            return Err(Failure::usage("the workspace has `samspill` among its dependencies already")
                .hint("leave `--samspill` out, or change the workspace's Cargo.toml"));
        }
        typed => Some(Source::find(typed.as_deref())?),
    };
    let mesh = match args.what {
        Kind::Service => Some(Mesh::read(&folder)?),
        Kind::Api => None,
    };

    // Phase 3: what to write.
    let mut plan = Plan::new(folder.clone(), package.clone());
    let manifests = workspace::Manifests { workspace: workspace.as_ref(), source: source.as_ref() };
    let mut members = vec![package.clone()];
    match args.what {
        Kind::Api => templates::api(&name, &manifests, "", &mut plan),
        Kind::Service => {
            members.push(format!("{package}/api"));
            let (namespace, image) = mesh.as_ref().map(|mesh| mesh.names_for(&name)).unwrap_or_default();
            templates::service(&name, &manifests, &namespace, &image, &mut plan);
            templates::api(&name, &manifests, "api/", &mut plan);
        }
    }
    match (&workspace, &source) {
        (Some(workspace), _) => workspace.add_members(&folder, &members, &mut plan)?,
        (None, Some(source)) => source.new_workspace(&members, &mut plan)?,
        (None, None) => {}
    }
    let by_hand = mesh.as_ref().and_then(|mesh| mesh.add_image(&name, &mut plan));

    // Phase 4: writing it.
    let edge_port = mesh.as_ref().and_then(Mesh::edge_port).unwrap_or(DEFAULT_HTTP_PORT);
    let told = plan.told(&args.path);
    plan.carry_out()?;
    let manifest = workspace.as_ref().map_or_else(|| args.path.join("Cargo.toml"), |found| found.manifest().to_owned());
    let next = match args.what {
        Kind::Service => next_of_service(&name, &args.path, &manifest, edge_port)?,
        Kind::Api => next_of_api(&name, &args.path, &manifest),
    };
    let by_hand = by_hand.map(|lines| format!("\nStill to do by hand: {lines}")).unwrap_or_default();
    print(&format!("{told}{by_hand}\n{next}"))?;
    Ok(Exit::Success)
}

/// Outside of a workspace one is made, and that is not done among somebody's other files.
fn must_be_free(folder: &Path, typed: &Path) -> Result<(), Failure> {
    if folder.join("Cargo.toml").exists() {
        return Err(Failure::new(format!(
            "`{}` is a package, not a workspace",
            place::shown(&typed.join("Cargo.toml"))
        ))
        .hint("choose a new folder with --path, or make it a workspace too: add a line `[workspace]` to that file"));
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    match entries.into_iter().find(|entry| !entry.as_encoded_bytes().starts_with(b".")) {
        None => Ok(()),
        Some(entry) => Err(Failure::new(format!(
            "`{}` is in no cargo workspace, and is not empty (`{}`)",
            typed.display(),
            entry.display()
        ))
        .hint(
            "choose a new folder: --path shop; or make this one a workspace first: \
             printf '[workspace]\\nresolver = \"3\"\\n' > Cargo.toml",
        )),
    }
}

fn next_of_service(name: &Name, path: &Path, manifest: &Path, edge_port: u16) -> Result<String, Failure> {
    let samspill = command_line(Path::new(".samspill"))?;
    let test = cargo_line("test", manifest, &[name.dns(), &name.api_package()]);
    let edge = format!("http://127.0.0.1:{edge_port}/api/{name}", name = name.dns());
    Ok(format!(
        "\
Test it:
  {test}
Run it; Ctrl-C ends it:
  {up} {path}
While it runs, call it and open its documents:
  curl {edge}/v1/languages
  {edge}/openapi/v1.html
",
        up = samspill.verb("up"),
        path = path.display(),
    ))
}

fn next_of_api(name: &Name, path: &Path, manifest: &Path) -> String {
    let package = name.api_package();
    let test = cargo_line("test", manifest, &[&package]);
    let document = path.join(&package).join("openapi/v1.json");
    format!("Test it:\n  {test}\nIts document:\n  {}\n", place::shown(&document))
}

/// A line that works from where the user stands.
fn cargo_line(verb: &str, manifest: &Path, packages: &[&str]) -> String {
    let root = manifest.parent().and_then(|root| place::absolute(root).ok());
    let is_above = environment::current_dir().zip(root).is_some_and(|(here, root)| here.starts_with(root));
    let mut line = format!("cargo {verb}");
    if !is_above {
        line.push_str(&format!(" --manifest-path {}", manifest.display()));
    }
    packages.iter().for_each(|package| line.push_str(&format!(" -p {package}")));
    line
}
