//! The controller's one loop: hear, write down, plan, tell.
//!
//! Everything that changes is changed here, one event at a time. What has been decided is durable before a proxy or the runtime
//! hears of it; proxies hear of it before the runtime does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use samspill_model::intent::Intent;
use samspill_model::inventory::Inventory;
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::name::WorkloadName;
use samspill_model::plan::{Generation, InstanceState, Plan};
use samspill_model::snapshot::Snapshot;
use samspill_observability::chain;
use samspill_xds::render::Resources;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::changes;
use crate::link::LinkError;
use crate::patience::Patience;
use crate::planner::{self, Acknowledged, Overrides};
use crate::snapshot;
use crate::store::{Store, Stored, WriteError};

/// When a plan that could not be written (a full disk) is tried again, unless something happens before.
const RETRY: Duration = Duration::from_secs(5);

/// The largest wish that is no slip of the finger on one machine; the files may say no more either.
const MAX_REPLICAS: u32 = 250;

/// What is wanted, observed and told, all as of one moment.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) intent: Arc<Intent>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) snapshot: Snapshot,
}

/// Where news goes.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) to_runtime: mpsc::UnboundedSender<ToRuntime>,
    /// None until the runtime has said what runs.
    pub(crate) inventory: watch::Sender<Option<Arc<Inventory>>>,
    /// None until there is a first plan.
    pub(crate) resources: watch::Sender<Option<Arc<Resources>>>,
    /// None until there is a first plan.
    pub(crate) view: watch::Sender<Option<Arc<View>>>,
}

/// A wish to run more or fewer copies, until the files win again.
#[derive(Debug)]
pub(crate) struct Scale {
    /// A workload: `name`, or `namespace/name`.
    pub(crate) workload: String,
    pub(crate) replicas: u32,
    pub(crate) reply: oneshot::Sender<Result<Scaled, ScaleError>>,
}

/// A wish that is durable.
#[derive(Debug)]
pub(crate) struct Scaled {
    pub(crate) workload: WorkloadName,
    pub(crate) replicas: u32,
    /// The plan that says so.
    pub(crate) generation: Generation,
}

/// Why a wish was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaleError {
    #[error("there is no workload `{name}`; there are {known}")]
    Unknown { name: String, known: String },
    #[error("`{name}` is {candidates}; say which, as namespace/name")]
    Ambiguous { name: String, candidates: String },
    #[error("{0} replicas are too many for one machine; {MAX_REPLICAS} is the most")]
    TooMany(u32),
    #[error("the wish could not be written down")]
    Write(#[source] WriteError),
}

/// Why the controller must end.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The runtime is not understood.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The files' new intent cannot be made durable, and so must not be acted on.
    #[error("the new intent was not accepted")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<WriteError> for ExecutorError {
    fn from(error: WriteError) -> Self {
        Self::Write(error.into())
    }
}

#[derive(Debug)]
pub(crate) struct Executor {
    trust_domain: String,
    store: Arc<Store>,
    outputs: Outputs,
    intent: Option<Arc<Intent>>,
    overrides: Overrides,
    plan: Plan,
    inventory: Option<Arc<Inventory>>,
    /// Whether the files have spoken since this process started.
    is_applied: bool,
    acks: BTreeMap<String, Generation>,
    patience: Patience,
    retry_at: Option<Instant>,
    /// The newest plan that this process has given to the runtime.
    sent: Option<Generation>,
}

impl Executor {
    pub(crate) fn new(trust_domain: String, store: Arc<Store>, stored: Stored, outputs: Outputs) -> Self {
        Self {
            trust_domain,
            store,
            outputs,
            intent: stored.intent.map(Arc::new),
            overrides: stored.overrides,
            plan: stored.plan,
            inventory: None,
            is_applied: false,
            acks: BTreeMap::new(),
            patience: Patience::default(),
            retry_at: None,
            sent: None,
        }
    }

    /// Runs until the runtime has ended.
    pub(crate) async fn run(
        mut self,
        mut runtime: impl Stream<Item = Result<ToController, LinkError>> + Unpin,
        mut acks: watch::Receiver<BTreeMap<String, Generation>>,
        mut scales: mpsc::Receiver<Scale>,
    ) -> Result<(), ExecutorError> {
        loop {
            // While the store refuses, nothing else can be got done in time either.
            let alarm = self.retry_at.or_else(|| self.patience.ends());
            tokio::select! {
                message = runtime.next() => match message {
                    Some(message) => self.hear(message?)?,
                    None => return Ok(()),
                },
                Ok(()) = acks.changed() => {}
                Some(scale) = scales.recv() => self.scale(scale),
                () = sleep_until(alarm) => {}
            }
            self.acks = acks.borrow_and_update().clone();
            self.retry_at = None;
            if let Err(error) = self.act() {
                tracing::error!(error = %chain(&error), "a plan could not be written and is not acted on");
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
    }

    fn hear(&mut self, message: ToController) -> Result<(), ExecutorError> {
        match message {
            ToController::Inventory(inventory) => {
                let inventory = Arc::new(inventory);
                self.inventory = Some(Arc::clone(&inventory));
                self.outputs.inventory.send_replace(Some(inventory));
            }
            ToController::Apply(intent) => {
                let sentences = changes::describe(self.intent.as_deref(), &self.overrides, &intent);
                self.store.put_intent(&intent)?;
                self.intent = Some(Arc::from(intent));
                self.overrides.clear();
                self.is_applied = true;
                // The plan goes first: a runtime that knows its files to be applied has one.
                self.act()?;
                self.tell(ToRuntime::Applied(sentences));
            }
        }
        Ok(())
    }

    fn scale(&mut self, wish: Scale) {
        let outcome = self.try_scale(&wish.workload, wish.replicas);
        // Whoever asked may have hung up; the wish stands.
        let _ignored = wish.reply.send(outcome);
    }

    fn try_scale(&mut self, name: &str, replicas: u32) -> Result<Scaled, ScaleError> {
        if replicas > MAX_REPLICAS {
            return Err(ScaleError::TooMany(replicas));
        }
        let workload = find(self.intent.as_deref(), name)?;
        let mut overrides = self.overrides.clone();
        overrides.insert(workload.clone(), replicas);
        self.store.put_overrides(&overrides).map_err(ScaleError::Write)?;
        self.overrides = overrides;
        self.act().map_err(ScaleError::Write)?;
        Ok(Scaled { workload, replicas, generation: self.plan.generation })
    }

    /// Brings everybody up to date. Does nothing when nothing has changed.
    ///
    /// # Errors
    /// A new plan is not durable. What runs goes on by the one before.
    fn act(&mut self) -> Result<(), WriteError> {
        let (Some(intent), Some(inventory)) = (self.intent.clone(), self.inventory.clone()) else { return Ok(()) };
        // A runtime that has never had a plan is about to say what the files say; what they said last time is not to be started.
        if inventory.generation == Generation::default() && !self.is_applied {
            return Ok(());
        }
        let planned = self.plan_next(&intent, &inventory);
        if self.plan.generation == Generation::default() {
            return planned;
        }
        self.publish(intent, &inventory);
        let runtime_knows = inventory.generation >= self.plan.generation;
        if !runtime_knows && self.sent != Some(self.plan.generation) {
            self.sent = Some(self.plan.generation);
            self.tell(ToRuntime::Plan(self.plan.clone()));
        }
        planned
    }

    fn plan_next(&mut self, intent: &Intent, inventory: &Inventory) -> Result<(), WriteError> {
        let now = Instant::now();
        let acknowledged = Acknowledged { proxies: self.acks.clone(), given_up: self.patience.given_up(now) };
        if let Some(next) = planner::next_plan(intent, &self.overrides, inventory, &self.plan, &acknowledged) {
            self.store.put_plan(&next)?;
            self.log_step(&next, inventory);
            self.plan = next;
        }
        self.patience.observe(&self.plan, now);
        Ok(())
    }

    fn log_step(&self, next: &Plan, inventory: &Inventory) {
        tracing::info!(generation = %next.generation, instances = next.instances.len(), "a new plan");
        let patient = Acknowledged { proxies: self.acks.clone(), given_up: Generation::default() };
        for instance in next.instances.iter().filter(|instance| instance.state == InstanceState::Stop) {
            let before = self.plan.instances.iter().find(|before| before.name == instance.name);
            if let Some(InstanceState::Withdraw { since }) = before.map(|before| before.state) {
                let behind = patient.behind(inventory, since);
                if !behind.is_empty() {
                    tracing::warn!(instance = %instance.name, ?behind, "stopped although not every proxy has acknowledged");
                }
            }
        }
    }

    fn publish(&self, intent: Arc<Intent>, inventory: &Arc<Inventory>) {
        let snapshot = snapshot::derive(&self.trust_domain, &self.plan, &intent, inventory);
        let is_news = self.outputs.view.borrow().as_ref().is_none_or(|before| before.snapshot != snapshot);
        if is_news {
            self.outputs.resources.send_replace(Some(Arc::new(Resources::render(&snapshot))));
        }
        let view = View { intent, inventory: Arc::clone(inventory), snapshot };
        self.outputs.view.send_replace(Some(Arc::new(view)));
    }

    fn tell(&self, message: ToRuntime) {
        // A runtime that is gone ends the loop where it is read.
        let _ignored = self.outputs.to_runtime.send(message);
    }
}

/// The workload that a name means.
fn find(intent: Option<&Intent>, name: &str) -> Result<WorkloadName, ScaleError> {
    let all: Vec<&WorkloadName> = intent.iter().flat_map(|intent| &intent.workloads).map(|w| &w.name).collect();
    let list = |names: &[&WorkloadName]| match names {
        [] => "none".to_owned(),
        names => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let meant: Vec<&WorkloadName> =
        all.iter().copied().filter(|known| known.name == name || known.to_string() == name).collect();
    match meant[..] {
        [one] => Ok(one.clone()),
        [] => Err(ScaleError::Unknown { name: name.to_owned(), known: list(&all) }),
        _ => Err(ScaleError::Ambiguous { name: name.to_owned(), candidates: list(&meant) }),
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
