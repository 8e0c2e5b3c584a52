//! What a runtime is told once, at its start.

use std::path::PathBuf;
use std::time::Duration;

/// What a runtime is told once, at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where all that lasts is kept. Made if it is not there; used by one runtime at a time.
    pub state_dir: PathBuf,
    /// The edge's port on 127.0.0.1; 0 takes a free one.
    pub http_port: u16,
    /// Where spans are forwarded to, `http://host:port` (OTLP/gRPC). Nobody needs to listen there.
    pub otlp_endpoint: Option<String>,
    /// The trust domain of all identities.
    pub trust_domain: String,
    /// How long a certificate is valid.
    pub leaf_ttl: Duration,
    /// The program `samspill`, absolute: it is the shim, the proxy and the controller.
    pub executable: PathBuf,
}
