//! One copy of a workload: an app and its sidecar, side by side. Each is restarted alone; the sidecar starts first and
//! leaves last.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use samspill_model::intent::{ContainerPort, Workload};
use samspill_model::inventory::{Instance, Phase, PortAddresses};
use samspill_model::name::InstanceName;
use samspill_observability::chain;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::ask;
use crate::context::Context;
use crate::keeper::{Part, keep};
use crate::proxy::{Proxy, SidecarSockets};
use crate::sockets::{Reservation, listener};
use crate::status::InstanceStatus;

/// How long a sidecar may take at most to be rid of its inbound connections before the app is asked to end.
const LONGEST_DRAIN: Duration = Duration::from_secs(10);

/// How long to wait before sockets are asked for again that the system has refused.
const SOCKETS_RETRY: Duration = Duration::from_secs(1);

/// Everything that an instance has for its whole life.
struct Sockets {
    sidecar: SidecarSockets,
    ports: Vec<(ContainerPort, Reservation)>,
    outbound: SocketAddr,
    admin: SocketAddr,
    addresses: BTreeMap<u16, PortAddresses>,
}

impl Sockets {
    fn new(workload: &Workload) -> io::Result<Self> {
        let (outbound, admin) = (listener(0)?, listener(0)?);
        let (outbound_address, admin_address) = (outbound.local_addr()?, admin.local_addr()?);
        let (mut inbound, mut ports, mut addresses) = (Vec::new(), Vec::new(), BTreeMap::new());
        for port in &workload.ports {
            let (socket, reservation) = (listener(0)?, Reservation::new()?);
            let both = PortAddresses { app: reservation.address(), inbound: socket.local_addr()? };
            addresses.insert(port.port, both);
            inbound.push((port.port, socket));
            ports.push((port.clone(), reservation));
        }
        let sidecar = SidecarSockets { outbound, admin, inbound };
        Ok(Self { sidecar, ports, outbound: outbound_address, admin: admin_address, addresses })
    }
}

/// Runs an instance until it shall `stop` and has.
pub(crate) async fn run(context: Arc<Context>, name: InstanceName, workload: Arc<Workload>, stop: CancellationToken) {
    let Some(sockets) = sockets(&context, &name, &workload, &stop).await else { return };
    let status = status(&name, &workload, &sockets);
    context.board.update(|all| drop(all.instances.insert(name.clone(), status)));

    let Sockets { sidecar, ports, outbound, admin, .. } = sockets;
    let sidecar = Arc::new(sidecar);
    let mut sidecar = Proxy::sidecar(Arc::clone(&context), name.clone(), Arc::clone(&workload), sidecar, admin);
    let mut app = App::new(Arc::clone(&context), name.clone(), workload, ports, outbound);
    let grace = app.grace();
    let (stop_app, app_stopped, stop_sidecar) = <(CancellationToken, CancellationToken, CancellationToken)>::default();

    let keep_sidecar = keep(&context, &mut sidecar, &stop_sidecar);
    let keep_app = async {
        keep(&context, &mut app, &stop_app).await;
        app_stopped.cancel();
    };
    let stop_in_order = async {
        stop.cancelled().await;
        context.board.instance(&name, |status| status.instance.phase = Phase::Stopping);
        drain(&context, &name, admin, grace).await;
        stop_app.cancel();
        app_stopped.cancelled().await;
        stop_sidecar.cancel();
    };
    tokio::join!(keep_sidecar, keep_app, async {
        tokio::select! {
            () = stop_in_order => {}
            // Then the keepers end by themselves.
            () = context.shutdown.at_once().cancelled() => {}
        }
    });
    context.board.update(|all| drop(all.instances.remove(&name)));
}

async fn sockets(
    context: &Context,
    name: &InstanceName,
    workload: &Workload,
    stop: &CancellationToken,
) -> Option<Sockets> {
    loop {
        match Sockets::new(workload) {
            Ok(sockets) => return Some(sockets),
            Err(error) => context.board.error(name.as_str(), format!("no sockets for it, trying again: {error}")),
        }
        tokio::select! {
            () = tokio::time::sleep(SOCKETS_RETRY) => {}
            () = stop.cancelled() => return None,
            () = context.shutdown.at_once().cancelled() => return None,
        }
    }
}

fn status(name: &InstanceName, workload: &Workload, sockets: &Sockets) -> InstanceStatus {
    InstanceStatus {
        instance: Instance {
            name: name.clone(),
            workload: workload.name.clone(),
            service_account: workload.service_account.clone(),
            version: workload.version.clone(),
            phase: Phase::Starting,
            ready: false,
            restarts: 0,
            pid: None,
            sidecar: None,
            ports: sockets.addresses.clone(),
        },
        is_app_ready: false,
        is_sidecar_ready: false,
        sidecar_restarts: 0,
        first_app_address: sockets.ports.first().map(|(_, reservation)| reservation.address()),
        outbound: sockets.outbound,
        admin: sockets.admin,
    }
}

/// Has the sidecar finish its inbound connections. Half of the grace at most: the app may need the rest.
async fn drain(context: &Context, name: &InstanceName, admin: SocketAddr, grace: Duration) {
    let has_sidecar = context.board.status().instances.get(name).is_some_and(|status| status.is_sidecar_ready);
    if !has_sidecar {
        return;
    }
    let timeout = LONGEST_DRAIN.min(grace / 2);
    let path = format!("/drain?timeout_seconds={}", timeout.as_secs());
    // A second for the answer itself.
    let answer = ask::ask(Method::POST, admin, &path, &[], timeout + Duration::from_secs(1)).await;
    match answer {
        Ok(status) if status.is_success() => {}
        Ok(status) => tracing::warn!(instance = %name, %status, "the sidecar did not drain"),
        Err(error) => tracing::warn!(instance = %name, error = %chain(&error), "the sidecar did not drain"),
    }
}
