//! What needs no test run: format, lints, documentation, tidy.

use anyhow::Result;

use crate::command::{cargo, run};
use crate::tidy;

pub(crate) fn run_all() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "samspill-tests/peers",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    tidy::run()
}
