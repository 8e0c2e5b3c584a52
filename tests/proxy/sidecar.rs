//! One proxy process.

use std::io::{Write as _, pipe};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use http::{Method, Request, StatusCode};
use rustix::process::Signal;
use samspill_model::name::InstanceName;
use samspill_testkit::wait_until;

use super::world::{CONTAINER_PORT, NAMESPACE, TRUST_DOMAIN};
use crate::mesh::{samspill, signal};
use crate::web::{self, Reply};

/// After standard input, output and error.
const FIRST_DESCRIPTOR: i32 = 3;

/// `samspill proxy`, beside no app of its own.
pub(super) struct Sidecar {
    process: Child,
    log: PathBuf,
    pub(super) instance: InstanceName,
    /// Where its app would call; strangers, if it is the edge.
    pub(super) outbound: SocketAddr,
    /// Where the mesh calls.
    pub(super) inbound: SocketAddr,
    pub(super) admin: SocketAddr,
}

pub(super) struct Start<'a> {
    pub(super) account: &'a str,
    pub(super) instance: InstanceName,
    pub(super) token: String,
    pub(super) controller: SocketAddr,
    pub(super) otlp: SocketAddr,
    pub(super) folder: &'a Path,
    /// Whether it is the edge, and not a sidecar.
    pub(super) is_edge: bool,
}

impl Sidecar {
    pub(super) fn start(start: Start<'_>) -> Self {
        let Start { account, instance, token, controller, otlp, folder, is_edge } = start;
        let [(outbound, outbound_fd), (admin, admin_fd), (inbound, inbound_fd)] = std::array::from_fn(|_| listener());
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(token.as_bytes()).unwrap();
        drop(writer);
        let inbound_name = format!("inbound-{CONTAINER_PORT}");
        let descriptors = [
            (if is_edge { "edge" } else { "outbound" }, outbound_fd),
            ("admin", admin_fd),
            (inbound_name.as_str(), inbound_fd),
            ("token", OwnedFd::from(reader)),
        ];
        let names: Vec<&str> = descriptors.iter().map(|(name, _)| *name).collect();

        let log = folder.join(format!("{instance}.txt"));
        let output = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(samspill());
        command.args(["__exec", "--parent", &std::process::id().to_string(), "--"]).arg(samspill());
        command.args(["proxy", "--instance", instance.as_str(), "--workload", account, "--namespace", NAMESPACE]);
        command.args(["--service-account", account, "--workload-version", "1", "--trust-domain", TRUST_DOMAIN]);
        command.args(["--controller", &controller.to_string(), "--otlp-endpoint", &format!("http://{otlp}")]);
        command.arg("--bootstrap").arg(folder.join("bootstrap.sock")).args(is_edge.then_some("--edge"));
        command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        command.env("RUST_LOG", "info,samspill_proxy=debug,samspill_engine=debug");
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let numbered = descriptors.into_iter().zip(FIRST_DESCRIPTOR..);
        let mappings = numbered.map(|((_, parent_fd), child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).unwrap();
        Self { process: command.spawn().unwrap(), log, instance, outbound, inbound, admin }
    }

    /// Waits for an identity and a first configuration.
    pub(super) async fn ready(&self) {
        let is_ready = async || {
            let reply = web::get(self.admin, "/readyz").await;
            reply.is_ok_and(|reply| reply.status == StatusCode::OK)
        };
        wait_until("the sidecar is ready", is_ready).await;
    }

    /// What `/metrics` says: the sum of all series of this name that have all these labels.
    pub(super) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = web::get(self.admin, "/metrics").await.unwrap().body;
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let series = text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Sends a request as its app would, naming a service in `Host`.
    pub(super) async fn send(&self, request: Request<String>) -> Reply {
        web::send(self.outbound, request).await.unwrap()
    }

    pub(super) async fn get(&self, service: &str, path: &str) -> Reply {
        self.send(request(Method::GET, service, path, "")).await
    }

    pub(super) async fn post(&self, service: &str, body: &str) -> Reply {
        self.send(request(Method::POST, service, "/", body)).await
    }

    pub(super) fn terminate(&self) {
        signal(self.process.id(), Signal::TERM);
    }

    pub(super) async fn ended(&mut self) -> ExitStatus {
        wait_until("the sidecar has ended", async || self.process.try_wait().unwrap().is_some()).await;
        self.process.wait().unwrap()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- what {} has logged ---\n{log}", self.instance);
        }
    }
}

pub(super) fn request(method: Method, service: &str, path: &str, body: &str) -> Request<String> {
    let request = Request::builder().method(method).uri(path).header("host", service);
    request.body(body.to_owned()).unwrap()
}

/// A listener for the proxy to inherit; ours is closed with the command.
fn listener() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener.into())
}
