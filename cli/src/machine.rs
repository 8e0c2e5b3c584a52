//! What a machine must have: asked by `check`, and by `up` before it builds anything.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use samspill_runtime::state::StateError;
use samspill_runtime::{StartError, port_owner};

use crate::environment;
use crate::exit::{Failure, failure};

/// Descriptors that a mesh may need at once: each instance has about ten, each connection one more.
const MIN_OPEN_FILES: u64 = 1024;

/// Nobody listens on the edge's port. It may be taken later: the runtime says the same then.
pub(crate) fn port(port: u16) -> Result<String, Failure> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(format!("port {port} is free")),
        Err(error) => Err(Failure::new(match error.kind() {
            std::io::ErrorKind::AddrInUse => StartError::PortInUse { port, owner: port_owner(port) },
            std::io::ErrorKind::PermissionDenied => StartError::PortPrivileged { port },
            _ => StartError::Sockets(error),
        })),
    }
}

/// No other mesh uses the state folder, and we can write there.
pub(crate) fn state_dir(folder: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(folder)?;
    let exists = |path: &&Path| path.exists();
    let nearest = absolute.ancestors().find(exists).unwrap_or(&absolute);
    let writable = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if !nearest.is_dir() {
        return Err(Failure::new(format!("`{}` is no folder", nearest.display()))
            .hint("choose another state folder with --state-dir"));
    }
    if rustix::fs::access(nearest, writable).is_err() {
        return Err(Failure::new(format!("cannot write to `{}`", nearest.display()))
            .hint("choose another state folder with --state-dir"));
    }
    samspill_runtime::state::check_length(&absolute).map_err(failure)?;
    if let Some(running) = samspill_runtime::state::find(&absolute).map_err(failure)? {
        return Err(Failure::new(StateError::InUse { folder: folder.to_owned(), process: Some(running.pid) }));
    }
    Ok(format!("the state folder `{}` can be used", folder.display()))
}

pub(crate) fn cargo() -> Result<String, Failure> {
    let install = "install Rust: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
    first_line(&environment::cargo(), "--version")
        .map_err(|error| Failure::new(format!("cargo does not run: {error}")).hint(install))
}

pub(crate) fn c_compiler() -> Result<String, Failure> {
    let install = "install one: apt install gcc libc6-dev (Debian, Ubuntu), dnf install gcc (Fedora)";
    let compiler = environment::c_compiler();
    first_line(&compiler, "--version").map_err(|error| {
        Failure::new(format!("the C compiler `{}` does not run: {error}", compiler.display())).hint(install)
    })
}

pub(crate) fn open_files() -> Result<String, Failure> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < MIN_OPEN_FILES => {
            Err(Failure::new(format!("only {limit} files may be open at once, {MIN_OPEN_FILES} are needed"))
                .hint(format!("ulimit -n {MIN_OPEN_FILES}")))
        }
        Some(limit) => Ok(format!("{limit} files may be open at once")),
        None => Ok("any number of files may be open".to_owned()),
    }
}

/// Descriptors of processes: without them a process number could become somebody else's (Linux 5.3).
pub(crate) fn kernel() -> Result<String, Failure> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    match rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()) {
        Ok(_) => Ok(format!("Linux {release}")),
        Err(error) => {
            Err(Failure::new(format!("Linux {release} has no pidfd_open: {error}")).hint("use Linux 5.3 or newer"))
        }
    }
}

fn first_line(program: &std::ffi::OsStr, argument: &str) -> Result<String, String> {
    let output =
        Command::new(program).arg(argument).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`{} {argument}` ended with {}", program.display(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_port_names_its_owner_and_the_flag() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let said = port(number).unwrap_err().text;
        assert!(said.contains(&format!("port {number} is in use by")), "{said}");
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        assert!(said.contains("--http-port"), "{said}");
        drop(listener);
        assert_eq!(port(number).unwrap(), format!("port {number} is free"));
    }

    #[test]
    fn a_state_folder_need_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        state_dir(&folder.path().join("a/b")).unwrap();
        assert!(!folder.path().join("a").exists());
        std::fs::write(folder.path().join("file"), "").unwrap();
        let said = state_dir(&folder.path().join("file/x")).unwrap_err().text;
        assert!(said.contains("--state-dir"), "{said}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_in_words() {
        let said = first_line("/nowhere/cc".as_ref(), "--version").unwrap_err();
        assert!(said.contains("No such file"), "{said}");
    }
}
