//! The state folder: one runtime at a time, nobody else's business, and how to find who uses it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::ticks::start_ticks;

/// The longest path of a Unix socket in bytes: `sun_path` has 108 and ends with a zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;

/// The socket with the longest name.
const LONGEST_SOCKET: &str = "controller.sock";

/// The file that a runtime says in who it is.
const RUNTIME_FILE: &str = "runtime.json";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file system says no.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another runtime uses the folder.
    #[error(
        "the state folder `{}` is in use{}; stop that mesh with `samspill down --state-dir {}`, or choose another folder with --state-dir",
        .folder.display(), .process.map(|pid| format!(" by process {pid}")).unwrap_or_default(), .folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who uses it, if that can be known.
        process: Option<u32>,
    },
    /// No Unix socket can be made in it.
    #[error(
        "the path of the state folder `{}` is {excess} bytes too long for the Unix sockets in it; choose a shorter one with --state-dir",
        .folder.display()
    )]
    PathTooLong {
        /// The folder.
        folder: PathBuf,
        /// By how much.
        excess: usize,
    },
}

/// A runtime that has used, or uses, a state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did: two processes with one number differ in this.
    pub start_ticks: u64,
}

impl Running {
    /// This process.
    fn this() -> io::Result<Self> {
        let pid = std::process::id();
        let start_ticks = start_ticks(pid)?.ok_or_else(|| io::Error::other("/proc/self/stat cannot be understood"))?;
        Ok(Self { pid, start_ticks })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.pid).is_ok_and(|ticks| ticks == Some(self.start_ticks))
    }

    /// Asks it to drain and end; a second time, to end at once. False when it has ended already.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn terminate(&self) -> io::Result<bool> {
        self.signal(Signal::TERM)
    }

    /// Asks it to stop at once, if it drains already: SIGINT, as a second Ctrl-C.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn interrupt(&self) -> io::Result<bool> {
        self.signal(Signal::INT)
    }

    fn signal(&self, signal: Signal) -> io::Result<bool> {
        let pid = Pid::from_raw(self.pid.cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
        // The descriptor first, the look second: afterwards the number can no longer become somebody else's.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The runtime that uses a state folder now, if one does. Needs neither controller nor a runtime that answers.
///
/// # Errors
/// The folder cannot be read.
pub fn find(state_dir: &Path) -> Result<Option<Running>, StateError> {
    let path = state_dir.join(RUNTIME_FILE);
    match fs::read(&path) {
        // A file cut short by a crash says that nobody runs.
        Ok(text) => Ok(serde_json::from_slice::<Running>(&text).ok().filter(Running::is_alive)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::File { action: "read", path, source }),
    }
}

/// The socket of a runtime's API.
pub fn api_socket(state_dir: &Path) -> PathBuf {
    state_dir.join("runtime.sock")
}

/// The socket of the controller's API.
pub fn controller_socket(state_dir: &Path) -> PathBuf {
    state_dir.join(LONGEST_SOCKET)
}

/// The socket on which a proxy asks for its first certificate.
pub(crate) fn bootstrap_socket(state_dir: &Path) -> PathBuf {
    state_dir.join("bootstrap.sock")
}

/// Whether there is room for the names of the sockets.
///
/// # Errors
/// [`StateError::PathTooLong`]
pub fn check_length(state_dir: &Path) -> Result<(), StateError> {
    let length = controller_socket(state_dir).as_os_str().len();
    match length.checked_sub(SOCKET_PATH_BYTES) {
        None | Some(0) => Ok(()),
        Some(excess) => Err(StateError::PathTooLong { folder: state_dir.to_owned(), excess }),
    }
}

/// A state folder that is ours until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes the folder if needed, takes it and says in it who we are.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::File { action, path, source }
        };
        check_length(path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(error("create", path))?;
        let path = path.canonicalize().map_err(error("find", path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(error("protect", &path))?;
        check_length(&path)?;

        let lock_path = path.join("lock");
        let options = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).clone();
        let lock = options.open(&lock_path).map_err(error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = find(&path).ok().flatten().map(|running| running.pid);
                return Err(StateError::InUse { folder: path, process });
            }
            Err(TryLockError::Error(source)) => return Err(error("lock", &lock_path)(source)),
        }

        for folder in ["logs", "data"] {
            let folder = path.join(folder);
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(error("create", &folder))?;
        }
        let this = Running::this().map_err(error("write", &path))?;
        let text = serde_json::to_vec(&this).map_err(|source| error("write", &path)(source.into()))?;
        fs::write(path.join(RUNTIME_FILE), text).map_err(error("write", &path.join(RUNTIME_FILE)))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a listening Unix socket. What an earlier runtime left there is removed: the folder is ours.
    pub(crate) fn listen(path: &Path) -> Result<std::os::unix::net::UnixListener, StateError> {
        let error = |source| StateError::File { action: "listen on", path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        Ok(listener)
    }
}

impl Drop for StateDir {
    /// Leaves the folder as one in which nobody runs. The lock goes with its descriptor, so nothing depends on this.
    fn drop(&mut self) {
        let sockets = [api_socket(&self.path), controller_socket(&self.path), bootstrap_socket(&self.path)];
        for path in sockets.into_iter().chain([self.path.join(RUNTIME_FILE)]) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        assert_eq!(fs::metadata(state.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(find(state.path()).unwrap().unwrap().pid, std::process::id());

        let error = StateDir::open(state.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        assert!(error.contains("samspill down --state-dir"), "{error}");

        let path = state.path().to_owned();
        drop(state);
        assert_eq!(find(&path).unwrap(), None);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_process_of_the_same_number_is_not_mistaken() {
        let this = Running::this().unwrap();
        assert!(this.is_alive());
        let earlier = Running { start_ticks: this.start_ticks - 1, ..this };
        assert!(!earlier.is_alive());
        assert!(!earlier.terminate().unwrap());
    }

    #[test]
    fn a_path_too_long_for_a_socket_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(100));
        let error = StateDir::open(&long).unwrap_err();
        assert!(!long.exists());
        assert!(matches!(error, StateError::PathTooLong { .. }));
        assert!(error.to_string().contains("shorter one with --state-dir"), "{error}");
    }
}
