//! The proxies: an instance's sidecar, and the edge.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rand::TryRngCore;
use rand::rngs::OsRng;
use samspill_model::identity::SYSTEM_NAMESPACE;
use samspill_model::intent::Workload;
use samspill_model::inventory::ProxyProcess;
use samspill_model::name::InstanceName;
use sha2::{Digest, Sha256};

use crate::backoff::Backoff;
use crate::context::Context;
use crate::keeper::Part;
use crate::probe::Prober;
use crate::process::{SpawnError, Spec};
use crate::state;

/// A proxy drains for 10 s at most by itself; one that has not ended by then hangs.
const GRACE: Duration = Duration::from_secs(12);

/// The name of the edge, as an instance and as a workload.
pub(crate) const EDGE: &str = "edge";

/// A proxy that is kept running.
#[derive(Debug)]
pub(crate) struct Proxy {
    context: Arc<Context>,
    role: Role,
    log_name: String,
    admin: SocketAddr,
    /// Of the process that was started last.
    token_sha256: String,
}

#[derive(Debug)]
enum Role {
    Edge,
    Sidecar { name: InstanceName, workload: Arc<Workload>, sockets: Arc<SidecarSockets> },
}

/// A sidecar's listeners, which outlive each of its processes.
#[derive(Debug)]
pub(crate) struct SidecarSockets {
    pub(crate) outbound: TcpListener,
    pub(crate) admin: TcpListener,
    /// By container port.
    pub(crate) inbound: Vec<(u16, TcpListener)>,
}

impl Proxy {
    pub(crate) fn edge(context: Arc<Context>, admin: SocketAddr) -> Self {
        Self { context, role: Role::Edge, log_name: EDGE.to_owned(), admin, token_sha256: String::new() }
    }

    pub(crate) fn sidecar(
        context: Arc<Context>,
        name: InstanceName,
        workload: Arc<Workload>,
        sockets: Arc<SidecarSockets>,
        admin: SocketAddr,
    ) -> Self {
        let log_name = format!("{name}.sidecar");
        Self { context, role: Role::Sidecar { name, workload, sockets }, log_name, admin, token_sha256: String::new() }
    }

    fn descriptors(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        match &self.role {
            Role::Edge => {
                let sockets = &self.context.sockets;
                Ok(vec![copy("edge", &sockets.edge)?, copy("admin", &sockets.edge_admin)?])
            }
            Role::Sidecar { sockets, .. } => {
                let mut descriptors = vec![copy("outbound", &sockets.outbound)?, copy("admin", &sockets.admin)?];
                for (port, listener) in &sockets.inbound {
                    descriptors.push(copy(&format!("inbound-{port}"), listener)?);
                }
                Ok(descriptors)
            }
        }
    }

    fn args(&self) -> io::Result<Vec<OsString>> {
        let (instance, workload, namespace, account, version) = match &self.role {
            Role::Edge => (EDGE, EDGE, SYSTEM_NAMESPACE, EDGE, env!("CARGO_PKG_VERSION")),
            Role::Sidecar { name, workload, .. } => (
                name.as_str(),
                workload.name.name.as_str(),
                workload.name.namespace.as_str(),
                workload.service_account.as_str(),
                workload.version.as_str(),
            ),
        };
        let mut args = vec![OsString::from("proxy")];
        let mut option = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
        option("--instance", instance.into());
        option("--workload", workload.into());
        option("--namespace", namespace.into());
        option("--service-account", account.into());
        option("--workload-version", version.into());
        option("--trust-domain", self.context.settings.trust_domain.clone().into());
        option("--controller", self.context.sockets.ads.local_addr()?.to_string().into());
        option("--bootstrap", state::bootstrap_socket(&self.context.state_dir).into());
        option("--otlp-endpoint", self.context.otlp_endpoint().into());
        if matches!(self.role, Role::Edge) {
            option("--sample-ratio", "1.0".into());
            args.push("--edge".into());
        }
        Ok(args)
    }

    fn set_ready(&self, is_ready: bool) {
        match &self.role {
            Role::Edge => self.context.board.edge(|edge| edge.ready = is_ready),
            Role::Sidecar { name, .. } => {
                self.context.board.instance(name, |status| status.is_sidecar_ready = is_ready);
            }
        }
    }
}

impl Part for Proxy {
    fn name(&self) -> &str {
        &self.log_name
    }

    fn grace(&self) -> Duration {
        GRACE
    }

    fn backoff(&self) -> Backoff {
        Backoff::for_own_part()
    }

    fn spec(&mut self) -> Result<Spec, SpawnError> {
        let (token, token_sha256) = token().map_err(SpawnError::Sockets)?;
        let mut descriptors = self.descriptors().map_err(SpawnError::Sockets)?;
        descriptors.push(("token".to_owned(), token.into()));
        self.token_sha256 = token_sha256;
        Ok(Spec {
            program: self.context.settings.executable.clone(),
            args: self.args().map_err(SpawnError::Sockets)?,
            env: Vec::new(),
            working_dir: None,
            descriptors,
        })
    }

    fn started(&mut self, pid: u32, restarts: u32) {
        let process = Some(ProxyProcess { pid, token_sha256: self.token_sha256.clone() });
        match &self.role {
            Role::Edge => self.context.board.edge(|edge| {
                edge.process = process;
                edge.restarts = restarts;
            }),
            Role::Sidecar { name, .. } => self.context.board.instance(name, |status| {
                status.instance.sidecar = process;
                status.sidecar_restarts = restarts;
            }),
        }
    }

    fn ended(&mut self) {
        match &self.role {
            Role::Edge => self.context.board.edge(|edge| {
                edge.process = None;
                edge.ready = false;
            }),
            Role::Sidecar { name, .. } => self.context.board.instance(name, |status| {
                status.instance.sidecar = None;
                status.is_sidecar_ready = false;
            }),
        }
    }

    async fn watch(&mut self) -> String {
        let mut prober = Prober::proxy(self.admin);
        loop {
            let change = prober.changed().await;
            self.set_ready(change.is_healthy);
        }
    }
}

fn copy(name: &str, listener: &TcpListener) -> io::Result<(String, OwnedFd)> {
    Ok((name.to_owned(), listener.try_clone()?.into()))
}

/// A pipe that holds a fresh token in hex, and the token's SHA-256 in hex.
fn token() -> io::Result<(PipeReader, String)> {
    let mut token = [0; 32];
    OsRng.try_fill_bytes(&mut token).map_err(io::Error::other)?;
    let token = hex(&token);
    // A pipe holds 4 KiB at least, so this does not wait for a reader.
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(token.as_bytes())?;
    Ok((reader, hex(&Sha256::digest(token))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_token_is_read_once_and_its_hash_is_of_the_text() {
        let (mut reader, sha256) = token().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), 64);
        assert_eq!(hex(&Sha256::digest(&text)), sha256);
        assert_ne!(sha256, token().unwrap().1);
    }
}
