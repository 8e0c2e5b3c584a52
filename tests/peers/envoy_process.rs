//! A real Envoy: its bootstrap says who it is and where our controller is; everything else comes from there.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use samspill_identity::authority::CertificateAuthority;
use samspill_identity::{CertificateDer, PrivateKeyDer};
use samspill_testkit::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::envoy::{NODE, id, issue};
use super::{base64, python_program};
use crate::web;

/// One running Envoy.
pub(super) struct Envoy {
    process: Child,
    folder: TempDir,
    admin: SocketAddr,
}

impl Envoy {
    pub(super) async fn start(authority: &CertificateAuthority, controller: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("bootstrap.json"), bootstrap(authority, controller).to_string()).unwrap();
        let log = std::fs::File::create(file("log.txt")).unwrap();
        let process = Command::new(python_program("envoy"))
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "--config-path"])
            .arg(file("bootstrap.json"))
            .arg("--admin-address-path")
            .arg(file("admin.txt"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { process, folder, admin: ([0, 0, 0, 0], 0).into() };
        let found = async || {
            let ended = envoy.process.try_wait().unwrap();
            assert!(ended.is_none(), "Envoy has ended: {ended:?}");
            let address = std::fs::read_to_string(envoy.folder.path().join("admin.txt")).unwrap_or_default();
            // Until it is written whole, it is no address.
            envoy.admin = address.parse().unwrap_or(envoy.admin);
            envoy.admin.port() != 0
        };
        wait_until("Envoy has started", found).await;
        envoy
    }

    pub(super) async fn admin(&self, path: &str) -> web::Reply {
        web::get(self.admin, path).await.unwrap()
    }

    /// Where Envoy listens, once it has all that it needs to.
    pub(super) async fn listener(&self) -> SocketAddr {
        wait_until("Envoy is ready", async || self.admin("/ready").await.status.is_success()).await;
        let listeners = self.admin("/listeners?format=json").await.json();
        let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let port = address["port_value"].as_u64().unwrap_or_else(|| panic!("{listeners}"));
        ([127, 0, 0, 1], port.try_into().unwrap()).into()
    }

    /// Waits until a request is answered so.
    pub(super) async fn answers(&self, edge: SocketAddr, expected: &str) {
        let is_so = async || web::get(edge, "/api/invoicing/v1/invoices/1").await.unwrap().body == expected;
        wait_until(&format!("Envoy's answer is {expected:?}"), is_so).await;
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default();
            eprintln!("--- what Envoy printed ---\n{log}");
        }
    }
}

/// What `docs/reference/xds-profile.md` asks of an Envoy: delta ADS, two static secrets, and a listener of its own.
fn bootstrap(authority: &CertificateAuthority, controller: SocketAddr) -> Value {
    let (chain, key) = issue(authority, &id("envoy"));
    let certificates = |chain: &[CertificateDer<'_>]| -> String {
        chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    };
    let key = match &key {
        PrivateKeyDer::Pkcs8(key) => pem("PRIVATE KEY", key.secret_pkcs8_der()),
        other => panic!("a key of another kind: {other:?}"),
    };
    let ads = json!({ "ads": {}, "resource_api_version": "V3" });
    let loopback = |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    let typed = |message: &str, mut fields: Value| {
        fields["@type"] = json!(format!("type.googleapis.com/{message}"));
        fields
    };
    let router = typed("envoy.extensions.filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "edge",
            "rds": { "config_source": ads, "route_config_name": "edge" },
            "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
        }),
    );
    let tls = typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        json!({ "common_tls_context": {
            "tls_params": { "tls_maximum_protocol_version": "TLSv1_3" },
            "tls_certificate_sds_secret_configs": [{ "name": "default" }],
            "combined_validation_context": {
                "default_validation_context": { "match_typed_subject_alt_names": [
                    { "san_type": "URI", "matcher": { "exact": id("controller").to_string() } },
                ] },
                "validation_context_sds_secret_config": { "name": "ROOTCA" },
            },
        } }),
    );
    let http2 = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        json!({ "explicit_http_config": { "http2_protocol_options": {} } }),
    );
    json!({
        "node": { "id": NODE, "cluster": "peers" },
        "admin": { "address": loopback(0) },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "controller" } }],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {
            "secrets": [
                { "name": "default", "tls_certificate": {
                    "certificate_chain": { "inline_string": certificates(&chain) },
                    "private_key": { "inline_string": key },
                } },
                { "name": "ROOTCA", "validation_context": { "trusted_ca": { "inline_string": certificates(&authority.bundle().roots) } } },
            ],
            "clusters": [{
                "name": "controller",
                "load_assignment": { "cluster_name": "controller", "endpoints": [
                    { "lb_endpoints": [{ "endpoint": { "address": loopback(controller.port()) } }] },
                ] },
                "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
                "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": tls },
            }],
            "listeners": [{
                "name": "edge",
                "address": loopback(0),
                "filter_chains": [{ "filters": [
                    { "name": "envoy.filters.network.http_connection_manager", "typed_config": manager },
                ] }],
            }],
        },
    })
}

/// DER as a text, which is what Envoy reads.
fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
