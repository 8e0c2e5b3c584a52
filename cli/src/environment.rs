//! The variables that the command obeys.

use std::ffi::OsString;

/// Whether colour is unwanted: `NO_COLOR` with any value (no-color.org), or a terminal that has none.
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// cargo: the one that runs us, else that of the path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The C compiler that crates with C in them are built with.
pub(crate) fn c_compiler() -> OsString {
    std::env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// Which log lines are written.
pub(crate) fn log_filter(default: &str) -> String {
    let set = std::env::var_os("RUST_LOG").map(|value| value.to_string_lossy().into_owned());
    set.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// Where the shell looks for programs.
pub(crate) fn path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// Where the user stands.
pub(crate) fn current_dir() -> Option<std::path::PathBuf> {
    std::env::current_dir().ok()
}
