//! Decides what shall run: intent and inventory in, the next plan out.
//!
//! A pure function. It may be asked at any time and any number of times: the same situation gives the same plan, and its own
//! answer asked again gives no further one.

use std::collections::{BTreeMap, BTreeSet};

use samspill_model::intent::{Intent, Workload};
use samspill_model::inventory::{Instance, Inventory, Phase};
use samspill_model::name::{InstanceName, WorkloadName};
use samspill_model::plan::{Generation, InstanceState, Plan, PlannedInstance};

/// The edge's node id, and its name wherever instances are named.
pub(crate) const EDGE_NODE: &str = "edge";

/// Replicas wanted by `scale`, until the files win again.
pub(crate) type Overrides = BTreeMap<WorkloadName, u32>;

/// How far the proxies have come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged {
    /// By node id: the newest generation that a connected proxy has wholly taken.
    pub(crate) proxies: BTreeMap<String, Generation>,
    /// Up to here nobody is waited for any longer.
    pub(crate) given_up: Generation,
}

impl Acknowledged {
    /// The live proxies that may still send by what was said before `generation`.
    pub(crate) fn behind<'a>(&self, inventory: &'a Inventory, generation: Generation) -> Vec<&'a str> {
        if generation <= self.given_up {
            return Vec::new();
        }
        let sidecars =
            inventory.instances.iter().filter(|instance| instance.sidecar.is_some()).map(|i| i.name.as_str());
        let edge = inventory.edge.iter().map(|_process| EDGE_NODE);
        sidecars.chain(edge).filter(|node| self.proxies.get(*node).is_none_or(|at| *at < generation)).collect()
    }
}

/// The plan that follows `previous`, or none if `previous` still says it.
///
/// - As many instances serve as are wanted. A new one takes the lowest ordinal that neither plan nor inventory knows.
/// - A scale-down takes what is not ready first, then the highest ordinal, and never goes back: `Serve`, `Withdraw`,
///   `Stop`, gone. `Stop` waits for every live proxy; gone means that a runtime which knows of the stop has it no more.
/// - What runs and was never planned (a lost store) is adopted if it is wanted, not killed.
pub(crate) fn next_plan(
    intent: &Intent,
    overrides: &Overrides,
    inventory: &Inventory,
    previous: &Plan,
    acknowledged: &Acknowledged,
) -> Option<Plan> {
    let generation = previous.generation.max(inventory.generation).next();
    let running: BTreeMap<&InstanceName, &Instance> = inventory.instances.iter().map(|i| (&i.name, i)).collect();
    let mut states = carried_over(previous, inventory, &running);
    adopt(&mut states, intent, inventory);

    let mut taken: BTreeSet<InstanceName> = states.keys().chain(running.keys().copied()).cloned().collect();
    let mut wanted: BTreeMap<&WorkloadName, u32> = intent.workloads.iter().map(|w| (&w.name, w.replicas)).collect();
    for (name, replicas) in &mut wanted {
        *replicas = overrides.get(name).copied().unwrap_or(*replicas);
    }
    for (workload, replicas) in &wanted {
        add_missing(&mut states, &mut taken, workload, *replicas);
    }
    withdraw_surplus(&mut states, &wanted, &running, generation);
    stop_withdrawn(&mut states, inventory, acknowledged);

    let plan = assemble(generation, intent, previous, states);
    let same =
        plan.edge == previous.edge && plan.workloads == previous.workloads && plan.instances == previous.instances;
    // A runtime that has seen more than we have would refuse our number.
    let refused = previous.generation < inventory.generation;
    (!same || refused).then_some(plan)
}

/// Whose copy an instance is, and what is wanted of it.
#[derive(Clone)]
struct Wanted {
    workload: WorkloadName,
    state: InstanceState,
}

type States = BTreeMap<InstanceName, Wanted>;

/// What the previous plan had, without what has stopped meanwhile.
fn carried_over(previous: &Plan, inventory: &Inventory, running: &BTreeMap<&InstanceName, &Instance>) -> States {
    // An older inventory may be from before the instance was started.
    let is_current = inventory.generation >= previous.generation;
    let is_gone = |instance: &&PlannedInstance| {
        instance.state == InstanceState::Stop && is_current && !running.contains_key(&instance.name)
    };
    let known = previous.instances.iter().filter(|instance| !is_gone(instance));
    known
        .filter_map(|instance| {
            let workload = previous.workloads.get(instance.workload)?.name.clone();
            Some((instance.name.clone(), Wanted { workload, state: instance.state }))
        })
        .collect()
}

fn adopt(states: &mut States, intent: &Intent, inventory: &Inventory) {
    for instance in inventory.instances.iter().filter(|instance| instance.phase != Phase::Stopping) {
        if intent.workloads.iter().any(|workload| workload.name == instance.workload) {
            let serve = Wanted { workload: instance.workload.clone(), state: InstanceState::Serve };
            states.entry(instance.name.clone()).or_insert(serve);
        }
    }
}

fn add_missing(states: &mut States, taken: &mut BTreeSet<InstanceName>, workload: &WorkloadName, replicas: u32) {
    let serving = states.values().filter(|s| s.state == InstanceState::Serve && s.workload == *workload).count();
    let missing = usize::try_from(replicas).unwrap_or(usize::MAX).saturating_sub(serving);
    let free = (0..).map(|ordinal| InstanceName::new(workload, ordinal)).filter(|name| !taken.contains(name));
    let added: Vec<InstanceName> = free.take(missing).collect();
    for name in added {
        taken.insert(name.clone());
        states.insert(name, Wanted { workload: workload.clone(), state: InstanceState::Serve });
    }
}

fn withdraw_surplus(
    states: &mut States,
    wanted: &BTreeMap<&WorkloadName, u32>,
    running: &BTreeMap<&InstanceName, &Instance>,
    generation: Generation,
) {
    let mut serving: BTreeMap<WorkloadName, Vec<InstanceName>> = BTreeMap::new();
    for (name, instance) in states.iter().filter(|(_name, instance)| instance.state == InstanceState::Serve) {
        serving.entry(instance.workload.clone()).or_default().push(name.clone());
    }
    for (workload, mut names) in serving {
        let replicas = usize::try_from(wanted.get(&workload).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        // Those to keep first. Without its prefix, a shorter ordinal is a smaller one.
        names.sort_by_key(|name| {
            let is_ready = running.get(name).is_some_and(|instance| instance.ready);
            (!is_ready, name.as_str().len(), name.clone())
        });
        for name in names.into_iter().skip(replicas) {
            if let Some(instance) = states.get_mut(&name) {
                instance.state = InstanceState::Withdraw { since: generation };
            }
        }
    }
}

fn stop_withdrawn(states: &mut States, inventory: &Inventory, acknowledged: &Acknowledged) {
    for instance in states.values_mut() {
        if let InstanceState::Withdraw { since } = instance.state
            && acknowledged.behind(inventory, since).is_empty()
        {
            instance.state = InstanceState::Stop;
        }
    }
}

/// Puts the plan in its order. A workload that left the files stays until its last instance is gone.
fn assemble(generation: Generation, intent: &Intent, previous: &Plan, states: States) -> Plan {
    let mut workloads: BTreeMap<&WorkloadName, &Workload> = BTreeMap::new();
    for workload in &previous.workloads {
        if states.values().any(|instance| instance.workload == workload.name) {
            workloads.insert(&workload.name, workload);
        }
    }
    workloads.extend(intent.workloads.iter().map(|workload| (&workload.name, workload)));
    let positions: BTreeMap<&WorkloadName, usize> = workloads.keys().copied().zip(0..).collect();
    let instances = states
        .into_iter()
        .filter_map(|(name, instance)| {
            let workload = *positions.get(&instance.workload)?;
            Some(PlannedInstance { name, workload, state: instance.state })
        })
        .collect();
    Plan {
        generation,
        parent: previous.generation,
        edge: !intent.workloads.is_empty(),
        workloads: workloads.values().map(|workload| (*workload).clone()).collect(),
        instances,
    }
}

#[cfg(test)]
mod tests;
