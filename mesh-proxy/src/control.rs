//! Joins the engine's questions and the controller's answers.

use std::sync::Arc;

use samspill_engine::directory::RoutesOf;
use samspill_model::snapshot::Inbound;
use samspill_net::task;
use samspill_xds::client::{self, RouteKey, Update, Wanted};
use tokio::sync::{mpsc, watch};

use crate::app::Shared;
use crate::certificates::controller_channel;
use crate::config::Role;

/// Asks the controller for what this proxy is and for every name that its engine wants, for ever.
pub(crate) async fn follow(
    shared: Shared,
    mut questions: mpsc::UnboundedReceiver<RoutesOf>,
    inbound: watch::Sender<Option<Arc<Inbound>>>,
) {
    let (wanted, receiver) = mpsc::unbounded_channel();
    let instance = shared.config.instance.clone();
    let first = match shared.config.role {
        Role::Sidecar => Wanted::Inbound(instance.clone()),
        Role::Edge => Wanted::Edge,
    };
    // The receiver lives as long as this task.
    drop(wanted.send(first));
    task::spawn("discovery questions", async move {
        while let Some(question) = questions.recv().await {
            drop(wanted.send(match question {
                RoutesOf::Service(name) => Wanted::Service(name),
                RoutesOf::Edge => Wanted::Edge,
            }));
        }
    });

    let directory = shared.directory.clone();
    let apply = move |update| match update {
        Update::Routes(RouteKey::Service(name), table) => directory.set_routes(&RoutesOf::Service(name), table),
        Update::Routes(RouteKey::Edge, table) => directory.set_routes(&RoutesOf::Edge, table),
        Update::Backend(name, backend) => directory.set_backend(&name, backend),
        Update::Inbound(_own, ports) => drop(inbound.send_replace(ports.map(Arc::new))),
    };
    let channel = || controller_channel(&shared.config, &shared.identity);
    client::run(channel, instance.to_string(), receiver, apply).await;
}
