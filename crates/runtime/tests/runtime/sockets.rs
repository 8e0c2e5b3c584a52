//! Sockets outlive the processes that use them.

use std::net::SocketAddr;

use samspill_model::intent::Intent;
use samspill_runtime::{Runtime, StartError};
use samspill_testkit::wait_until;
use tokio::io::AsyncReadExt;

use crate::mesh::{Mesh, kill, python, settings};

/// Listens on the socket that it has inherited and says what it knows about it.
const HEIR: &str = "
import os, socket
listener = socket.socket(fileno=3)
listener.listen()
names = [os.environ[name] for name in ('LISTEN_FDS', 'LISTEN_FDNAMES', 'PORT')]
while True:
    connection, _ = listener.accept()
    connection.sendall(' '.join([str(int(os.environ['LISTEN_PID']) == os.getpid())] + names).encode())
    connection.close()
";

async fn said(address: SocketAddr) -> Option<String> {
    let mut stream = samspill_net::connect::tcp(address, std::time::Duration::from_secs(60)).await.ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.ok()?;
    Some(said)
}

#[tokio::test]
async fn an_app_inherits_its_port_and_so_does_its_successor() {
    let mut mesh = Mesh::serving(&[python("a", HEIR)]).await;
    let status = mesh.ready("a-0").await;
    let address = status.instance.ports[&8080].app;
    let expected = Some(format!("True 1 http {}", address.port()));
    wait_until("the app listens", async || said(address).await == expected).await;
    kill(status.instance.pid.unwrap());
    mesh.instance("a-0", |status| status.instance.restarts == 1).await;
    wait_until("its successor listens", async || said(address).await == expected).await;
}

#[tokio::test]
async fn a_used_port_names_its_owner_and_the_flag() {
    let owner = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = owner.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let settings = samspill_runtime::Settings { http_port: port, ..settings(folder.path()) };
    let error = Runtime::start(settings.clone(), Intent::default()).unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }));
    let expected = format!("port {port} is in use by `");
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.to_string().ends_with(&format!("(process {}); choose another with --http-port", std::process::id())));
    // The folder was given back.
    drop(owner);
    Runtime::start(settings, Intent::default()).unwrap();
}
