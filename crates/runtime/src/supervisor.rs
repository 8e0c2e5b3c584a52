//! From a plan to processes: starts what is wanted and not there, stops what is there and not wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use samspill_model::intent::{Intent, Workload};
use samspill_model::name::InstanceName;
use samspill_model::plan::{InstanceState, Plan};
use samspill_net::task;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::event::Event;
use crate::instance;
use crate::keeper::keep;
use crate::link::Controller;
use crate::proxy::Proxy;
use crate::status::{EdgeStatus, Status};

/// Something that a plan wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Edge,
    Instance(InstanceName),
}

/// A unit's task.
#[derive(Debug)]
struct Running {
    /// What an instance was started from; none for the edge.
    workload: Option<Arc<Workload>>,
    stop: CancellationToken,
}

struct Supervisor {
    context: Arc<Context>,
    running: BTreeMap<Unit, Running>,
    ended: FuturesUnordered<BoxFuture<'static, Unit>>,
}

/// Runs everything until it shall stop and has.
pub(crate) async fn run(context: Arc<Context>, intent: Intent) {
    let (plans, mut plan) = watch::channel(None);
    let stop_controller = CancellationToken::new();
    let controller = {
        let (context, stop) = (Arc::clone(&context), stop_controller.clone());
        let mut controller = Controller::new(Arc::clone(&context), intent, plans);
        task::spawn("controller", async move { keep(&context, &mut controller, &stop).await })
    };
    let mut supervisor =
        Supervisor { context: Arc::clone(&context), running: BTreeMap::new(), ended: FuturesUnordered::new() };

    supervisor.serve(&mut plan).await;

    context.board.update(|status| status.is_stopping = true);
    if !context.shutdown.has_given_up() {
        context.board.tell(Event::Stopping);
    }
    supervisor.stop().await;
    stop_controller.cancel();
    // A panic was logged where it happened, and its process went with it.
    let _ = controller.await;
}

impl Supervisor {
    /// Follows the plans until the drain begins.
    async fn serve(&mut self, plans: &mut watch::Receiver<Option<Arc<Plan>>>) {
        let context = Arc::clone(&self.context);
        let mut status = context.board.subscribe();
        let mut is_told = false;
        loop {
            tokio::select! {
                Ok(()) = plans.changed() => {}
                Some(unit) = self.ended.next() => drop(self.running.remove(&unit)),
                is_ready = ready(&mut status), if !is_told => {
                    is_told = is_ready;
                    context.board.tell(Event::AllReady);
                    continue;
                }
                () = context.shutdown.draining().cancelled() => return,
            }
            let plan = plans.borrow_and_update().clone();
            if let Some(plan) = plan {
                self.converge(&plan);
            }
        }
    }

    /// The edge first, so that no stranger's request is cut; then all instances side by side.
    async fn stop(&mut self) {
        self.stop_units(|unit| *unit == Unit::Edge).await;
        self.stop_units(|_| true).await;
    }

    async fn stop_units(&mut self, is_meant: impl Fn(&Unit) -> bool) {
        self.running.iter().filter(|(unit, _)| is_meant(unit)).for_each(|(_, running)| running.stop.cancel());
        while self.running.keys().any(&is_meant)
            && let Some(unit) = self.ended.next().await
        {
            self.running.remove(&unit);
        }
    }

    fn converge(&mut self, plan: &Plan) {
        let wanted = wanted(plan);
        for (unit, running) in &self.running {
            // An instance whose workload has changed comes back, as the new one, once it has ended.
            if wanted.get(unit) != Some(&running.workload) {
                running.stop.cancel();
            }
        }
        for (unit, workload) in wanted {
            if !self.running.contains_key(&unit) {
                self.start(unit, workload);
            }
        }
    }

    fn start(&mut self, unit: Unit, workload: Option<Arc<Workload>>) {
        let stop = CancellationToken::new();
        let context = Arc::clone(&self.context);
        let task = match (&unit, &workload) {
            (Unit::Instance(name), Some(workload)) => {
                let run = instance::run(context, name.clone(), Arc::clone(workload), stop.clone());
                task::spawn("instance", run)
            }
            _ => task::spawn("edge", run_edge(context, stop.clone())),
        };
        self.running.insert(unit.clone(), Running { workload, stop });
        self.ended.push(Box::pin(async move {
            let _ = task.await;
            unit
        }));
    }
}

async fn run_edge(context: Arc<Context>, stop: CancellationToken) {
    let sockets = &context.sockets;
    let (address, admin) = match (sockets.edge.local_addr(), sockets.edge_admin.local_addr()) {
        (Ok(address), Ok(admin)) => (address, admin),
        (Err(error), _) | (_, Err(error)) => {
            return context.board.error("edge", format!("its sockets are gone: {error}"));
        }
    };
    let status = EdgeStatus { address, admin, process: None, ready: false, restarts: 0 };
    context.board.update(|all| all.edge = Some(status));
    keep(&context, &mut Proxy::edge(Arc::clone(&context), admin), &stop).await;
    context.board.update(|all| all.edge = None);
}

/// What a plan wants to run, and from what.
fn wanted(plan: &Plan) -> BTreeMap<Unit, Option<Arc<Workload>>> {
    // The number of copies changes nothing for one copy.
    let workloads = plan.workloads.iter().map(|workload| Arc::new(Workload { replicas: 1, ..workload.clone() }));
    let workloads = workloads.collect::<Vec<_>>();
    let instances = plan.instances.iter().filter(|instance| instance.state != InstanceState::Stop);
    let instances = instances.filter_map(|instance| {
        let workload = workloads.get(instance.workload)?;
        Some((Unit::Instance(instance.name.clone()), Some(Arc::clone(workload))))
    });
    instances.chain(plan.edge.then_some((Unit::Edge, None))).collect()
}

async fn ready(status: &mut watch::Receiver<Status>) -> bool {
    status.wait_for(Status::is_ready).await.is_ok()
}
