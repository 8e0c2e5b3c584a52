//! A PostgreSQL for one test: the machine's own programs, on a Unix socket in a folder of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait_until;

/// Where Debian has them, by version, and not on the PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Who may connect: [`Postgres::OWNER`] without a password, everybody else with theirs.
const ACCESS: &str = "local all craterate trust\nlocal all all scram-sha-256\n";

/// Quick instead of durable: what a test writes need not survive the machine.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "listen_addresses=",
    "log_min_messages=warning",
];

/// A running server with one empty database. It ends when this is dropped, also by a panic, and with the test's process.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    account: Option<Account>,
    server: Option<Child>,
    folder: TempDir,
}

/// Whom the server runs as when we are root, as whom it refuses to run.
#[derive(Clone, Debug)]
struct Account {
    name: String,
    user: u32,
    group: u32,
}

impl Postgres {
    /// The superuser, who needs no password.
    pub const OWNER: &str = "craterate";

    /// Makes a server and waits until it answers.
    ///
    /// # Panics
    /// PostgreSQL is not installed, or does not start: the message says what to type, or what the server said.
    pub async fn start() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = programs(&path, Path::new(DEBIAN)).expect(
            "PostgreSQL is missing: `initdb` is neither on the PATH nor in /usr/lib/postgresql/*/bin\nhint: apt-get install postgresql\n",
        );
        // Not in TMPDIR: the path of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("pg-").tempdir_in("/tmp").expect("a folder for PostgreSQL");
        let account = rustix::process::geteuid().is_root().then(account);
        if let Some(Account { user, group, .. }) = account {
            chown(folder.path(), Some(user), Some(group)).expect("the folder given to PostgreSQL's account");
        }
        let mut postgres = Self { programs, account, server: None, folder };
        postgres.make_cluster();
        postgres.run().await;
        postgres
    }

    /// The `DATABASE_URL` of the owner.
    pub fn url(&self) -> String {
        self.url_of(Self::OWNER)
    }

    /// The `DATABASE_URL` of a role, with its password: `name:password`.
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Ends the server at once, as if its machine had lost power: connections break.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // SIGQUIT: its processes end without a word, but the shared memory is given back.
            let _is_gone = kill_process(Pid::from_child(&server), Signal::QUIT);
            let _status = server.wait();
        }
    }

    /// Starts the server that was killed, on the same data and the same address.
    pub async fn run(&mut self) {
        let mut start = self.command("postgres");
        start.arg("-k").arg(self.folder.path());
        for setting in SETTINGS {
            start.args(["-c", setting]);
        }
        let log = self.folder.path().join("log");
        start.stderr(File::create(&log).expect("a file for what PostgreSQL says"));
        self.server = Some(start.spawn().expect("`setpriv`, of util-linux, runs"));
        let state = self.data().join("postmaster.pid");
        // The file's last line is where pg_ctl looks too.
        let is_ready = async || {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            if let Some(status) = ended {
                panic!("PostgreSQL ended with {status}: {}", read(&log));
            }
            read(&state).lines().last().is_some_and(|line| line.trim() == "ready")
        };
        wait_until("PostgreSQL is ready", is_ready).await;
    }

    fn make_cluster(&self) {
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=trust"]);
        initdb.args(["--username", Self::OWNER, "--wal-segsize=1"]);
        let output = initdb.stderr(Stdio::piped()).output().expect("`setpriv`, of util-linux, runs");
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(self.data().join("pg_hba.conf"), ACCESS).expect("who may connect is written");
    }

    /// A program of PostgreSQL with the folder of its data, as another user than root, told to end with this thread.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(Account { name, group, .. }) = &self.account {
            command.args(["--reuid", name, "--clear-groups"]).arg(format!("--regid={group}"));
        }
        command.args(["--pdeathsig", "SIGQUIT", "--"]);
        command.arg(self.programs.join(program)).arg("-D").arg(self.data());
        // Its home, where it may look around: ours may be closed to it.
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of the machine's newest `initdb` and `postgres`; the PATH comes first.
fn programs(path: &OsStr, debian: &Path) -> Option<PathBuf> {
    let on_path = std::env::split_paths(path).find(|folder| has_programs(folder));
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = || {
        let versions = std::fs::read_dir(debian).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        versions.filter(|folder| has_programs(&folder.join("bin"))).max_by_key(version)
    };
    on_path.or_else(|| Some(newest()?.join("bin")))
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// `postgres`, which the package makes, else `nobody`.
fn account() -> Account {
    let accounts = read(Path::new("/etc/passwd"));
    let find = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().ok());
        Some(Account { name: wanted.to_owned(), user: numbers.next()??, group: numbers.next()?? })
    };
    find("postgres").or_else(|| find("nobody")).expect("an account that PostgreSQL can run as, which refuses root")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::mem::ManuallyDrop;

    use rustix::process::test_kill_process;

    use super::*;

    /// Whether the server's process is there; one that ended and was not asked for is not.
    fn runs(pid: Pid) -> bool {
        let state = read(Path::new(&format!("/proc/{}/stat", pid.as_raw_pid())));
        let is_zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        test_kill_process(pid).is_ok() && !is_zombie
    }

    fn pid(postgres: &Postgres) -> Pid {
        Pid::from_child(postgres.server.as_ref().unwrap())
    }

    #[tokio::test]
    async fn a_server_ends_with_the_test_that_panics() {
        let running = tokio::task::spawn_blocking(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            let test = std::panic::catch_unwind(|| {
                runtime.block_on(async {
                    let postgres = Postgres::start().await;
                    assert!(runs(pid(&postgres)));
                    sender.send((pid(&postgres), postgres.folder.path().to_path_buf())).unwrap();
                    panic!("as a test does that fails");
                });
            });
            assert!(test.is_err());
            receiver.recv().unwrap()
        });
        let (pid, folder) = running.await.unwrap();
        assert!(!runs(pid) && !folder.exists());
    }

    #[tokio::test]
    async fn a_server_ends_with_the_thread_that_has_made_it() {
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let postgres = ManuallyDrop::new(runtime.block_on(Postgres::start()));
            (pid(&postgres), postgres.folder.path().to_path_buf())
        });
        let (pid, folder) = thread.join().unwrap();
        wait_until("the server ends", async || !runs(pid)).await;
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_path_comes_first_and_then_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let bin = folder.path().join(name);
            std::fs::create_dir_all(&bin).unwrap();
            for program in ["initdb", "postgres"] {
                File::create(bin.join(program)).unwrap();
            }
            bin
        };
        let debian = folder.path().join("debian");
        let nowhere = OsStr::new("/nonexistent:/proc");
        assert_eq!(programs(nowhere, &debian), None);
        make("debian/9/bin");
        let newest = make("debian/15/bin");
        assert_eq!(programs(nowhere, &debian), Some(newest));
        let own = make("own");
        assert_eq!(programs(own.as_os_str(), &debian), Some(own));
    }
}
