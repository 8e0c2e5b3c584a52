//! How everything is right now: the one place that the link, the API and the screen read from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use samspill_model::intent::Intent;
use samspill_model::inventory::{Instance, Inventory, Phase, ProxyProcess};
use samspill_model::name::{InstanceName, WorkloadName};
use samspill_model::plan::{Generation, InstanceState, Plan};
use tokio::sync::{mpsc, watch};

use crate::event::Event;

/// How everything is right now. Every change goes through a watch channel, so a reader sees the newest, never all between.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Status {
    /// The newest plan accepted.
    pub generation: Generation,
    /// The workloads of the files with at least one replica.
    pub intended: BTreeSet<WorkloadName>,
    /// Whether a plan for these workloads has come. A controller with a history may first say what was wanted last time.
    pub is_planned: bool,
    /// Whether the controller has taken over what the files say.
    pub applied: bool,
    /// What the plan wants to serve, with whose copy it is.
    pub wanted: BTreeMap<InstanceName, WorkloadName>,
    /// Whether the plan wants an edge.
    pub edge_wanted: bool,
    /// The controller's process, while there is one.
    pub controller: Option<u32>,
    /// The edge, once it has been wanted.
    pub edge: Option<EdgeStatus>,
    /// What runs, by name, including what is being stopped.
    pub instances: BTreeMap<InstanceName, InstanceStatus>,
    /// Whether the runtime is on its way out.
    pub is_stopping: bool,
}

/// How the edge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeStatus {
    /// Where strangers reach it.
    pub address: SocketAddr,
    /// Its admin port.
    pub admin: SocketAddr,
    /// Its process, while there is one.
    pub process: Option<ProxyProcess>,
    /// Whether it says that it is ready.
    pub ready: bool,
    /// How often it has been restarted.
    pub restarts: u32,
}

/// How an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// What the controller is told. Its `ready` follows from the two below.
    pub instance: Instance,
    /// Whether the app has passed its readiness probe, or has none and runs.
    pub is_app_ready: bool,
    /// Whether the sidecar says that it is ready.
    pub is_sidecar_ready: bool,
    /// How often the sidecar has been restarted.
    pub sidecar_restarts: u32,
    /// Where the app listens: the first container port of the manifest.
    pub first_app_address: Option<SocketAddr>,
    /// Where the sidecar takes the app's calls.
    pub outbound: SocketAddr,
    /// The sidecar's admin port.
    pub admin: SocketAddr,
}

impl Status {
    /// What the controller is told.
    pub fn inventory(&self) -> Inventory {
        Inventory {
            generation: self.generation,
            instances: self.instances.values().map(|status| status.instance.clone()).collect(),
            edge: self.edge.as_ref().and_then(|edge| edge.process.clone()),
        }
    }

    /// Whether all that the files want runs and may receive traffic.
    pub fn is_ready(&self) -> bool {
        let is_ready = |name| self.instances.get(name).is_some_and(|status| status.instance.ready);
        let is_edge_ready = || self.edge.as_ref().is_some_and(|edge| edge.ready);
        self.applied
            && self.is_planned
            && self.wanted.keys().all(is_ready)
            && (!self.edge_wanted || is_edge_ready())
            && !self.is_stopping
    }
}

/// Where tasks write what they know; the only sender of a [`Status`] and of [`Event`]s.
#[derive(Debug)]
pub(crate) struct Board {
    status: watch::Sender<Status>,
    events: mpsc::UnboundedSender<Event>,
}

impl Board {
    pub(crate) fn new(intent: &Intent, events: mpsc::UnboundedSender<Event>) -> Self {
        let running = intent.workloads.iter().filter(|workload| workload.replicas > 0);
        let intended = running.map(|workload| workload.name.clone()).collect();
        let status = watch::Sender::new(Status { intended, ..Status::default() });
        Self { status, events }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// A copy of the newest.
    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody watches: the event is in the log anyway.
        tracing::debug!(%event, "event");
        let _ = self.events.send(event);
    }

    pub(crate) fn error(&self, name: &str, message: impl Into<String>) {
        self.tell(Event::Error { name: name.to_owned(), message: message.into() });
    }

    /// Takes a plan unless a newer one is known. An equal one is a controller that says it again.
    pub(crate) fn accept(&self, plan: &Plan) -> bool {
        let mut is_accepted = false;
        self.update(|status| {
            is_accepted = plan.generation >= status.generation;
            if is_accepted {
                status.generation = plan.generation;
                status.edge_wanted = plan.edge;
                status.wanted = serving(plan).collect();
                // From then on, `scale` to nothing is no reason not to be ready.
                status.is_planned |=
                    status.wanted.values().collect::<BTreeSet<_>>() == status.intended.iter().collect();
            }
        });
        is_accepted
    }

    /// Changes anything but the edge and the instances.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    /// Changes the edge's status.
    pub(crate) fn edge(&self, change: impl FnOnce(&mut EdgeStatus)) {
        let mut event = None;
        self.status.send_modify(|status| {
            let Some(edge) = status.edge.as_mut() else { return };
            let before = edge.ready;
            change(edge);
            // An edge that ended by itself has a line of its own.
            if edge.process.is_some() {
                event = readiness_event("edge", before, edge.ready);
            }
        });
        event.into_iter().for_each(|event| self.tell(event));
    }

    /// Changes an instance's status and works out anew whether it is ready.
    pub(crate) fn instance(&self, name: &InstanceName, change: impl FnOnce(&mut InstanceStatus)) {
        let mut event = None;
        self.status.send_modify(|status| {
            let Some(status) = status.instances.get_mut(name) else { return };
            let before = status.instance.ready;
            change(status);
            let may_serve = status.instance.phase == Phase::Running;
            status.instance.ready = may_serve && status.is_app_ready && status.is_sidecar_ready;
            // What ended by itself, or shall end, has a line of its own.
            if may_serve && status.instance.sidecar.is_some() {
                event = readiness_event(name.as_str(), before, status.instance.ready);
            }
        });
        event.into_iter().for_each(|event| self.tell(event));
    }
}

fn serving(plan: &Plan) -> impl Iterator<Item = (InstanceName, WorkloadName)> {
    let serving = plan.instances.iter().filter(|instance| instance.state == InstanceState::Serve);
    serving.filter_map(|instance| Some((instance.name.clone(), plan.workloads.get(instance.workload)?.name.clone())))
}

fn readiness_event(name: &str, before: bool, after: bool) -> Option<Event> {
    match (before, after) {
        (false, true) => Some(Event::Ready { name: name.to_owned() }),
        (true, false) => Some(Event::NotReady { name: name.to_owned() }),
        _ => None,
    }
}
