//! What the controller is told at its start: flags, and sockets that the runtime has made.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use samspill_net::inherited::Descriptors;

/// The flags of `samspill controller`.
#[derive(Clone, Debug)]
pub struct Flags {
    /// The state folder, which exists.
    pub state_dir: PathBuf,
    /// The trust domain of every identity.
    pub trust_domain: String,
    /// How long a leaf certificate is valid.
    pub leaf_ttl: Duration,
}

/// All that the controller needs of the outside.
#[derive(Debug)]
pub struct Config {
    /// What was said on the command line.
    pub flags: Flags,
    /// Where proxies come for configuration and renewals, by mutual TLS.
    pub ads: TcpListener,
    /// Where they come for their first certificate.
    pub bootstrap: UnixListener,
    /// Where the command line asks.
    pub api: UnixListener,
    /// The runtime.
    pub runtime: UnixStream,
}

/// A socket that the runtime should have passed on.
#[derive(Debug, thiserror::Error)]
#[error("no {kind} named `{name}` was inherited; the controller is started by `samspill up`, which passes it on")]
pub struct MissingDescriptor {
    kind: &'static str,
    name: &'static str,
}

impl Config {
    /// Puts flags and inherited sockets together: `ads`, `bootstrap`, `api` and `runtime`.
    ///
    /// # Errors
    /// One of them was not passed on.
    pub fn new(flags: Flags, descriptors: &mut Descriptors) -> Result<Self, MissingDescriptor> {
        let missing = |kind, name| MissingDescriptor { kind, name };
        Ok(Self {
            flags,
            ads: descriptors.tcp_listener("ads").ok_or(missing("TCP listener", "ads"))?,
            bootstrap: descriptors.unix_listener("bootstrap").ok_or(missing("Unix listener", "bootstrap"))?,
            api: descriptors.unix_listener("api").ok_or(missing("Unix listener", "api"))?,
            runtime: descriptors.unix_stream("runtime").ok_or(missing("Unix stream", "runtime"))?,
        })
    }
}
