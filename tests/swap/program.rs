//! One copy of statistics, in either language, without a mesh around it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use http::StatusCode;
use samspill_testkit::wait_until;
use tokio::net::TcpSocket;

use crate::mesh::{root, samspill, signal};
use crate::web;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
}

impl Language {
    pub(super) const BOTH: [Self; 2] = [Self::Rust, Self::Python];

    fn executable(self) -> PathBuf {
        match self {
            Self::Rust => samspill().with_file_name("statistics"),
            Self::Python => root().join("examples/craterate/statistics-python/statistics.py"),
        }
    }
}

/// A running copy.
pub(super) struct Program {
    process: Child,
    pub(super) address: SocketAddr,
    /// Bound and not listening: it keeps the port from everybody else (socket(7), `SO_REUSEADDR`).
    _reservation: TcpSocket,
}

impl Program {
    /// Starts one on the database of a folder, and waits until it is ready.
    pub(super) async fn start(language: Language, folder: &Path) -> Self {
        let reservation = TcpSocket::new_v4().unwrap();
        reservation.set_reuseaddr(true).unwrap();
        reservation.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = reservation.local_addr().unwrap();
        let executable = language.executable();
        assert!(executable.exists(), "{} is not built\n\nhint: cargo build --workspace --bins", executable.display());
        let process = Command::new(executable)
            .env("PORT", address.port().to_string())
            .env("DATABASE_URL", format!("sqlite://{}/statistics.db", folder.display()))
            .env("SAMSPILL_INSTANCE", format!("{language:?}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { process, address, _reservation: reservation };
        let is_ready = async || web::get(address, "/readyz").await.is_ok_and(|reply| reply.status == StatusCode::OK);
        wait_until("it is ready", is_ready).await;
        program
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGTERM.
    pub(super) fn ask_to_end(&self) {
        signal(self.process.id(), rustix::process::Signal::TERM);
    }

    /// Has it end, and gives its exit code.
    pub(super) async fn end(self) -> Option<i32> {
        self.ask_to_end();
        self.ended().await
    }

    /// Waits for its end, and gives its exit code.
    pub(super) async fn ended(mut self) -> Option<i32> {
        wait_until("it has ended", async || self.process.try_wait().unwrap().is_some()).await;
        self.process.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
