//! Laws of the planner, and what a whole scale-down looks like.

use proptest::prelude::*;
use samspill_model::inventory::ProxyProcess;

use super::*;
use crate::fixtures;

const WORKLOADS: [&str; 3] = ["booking", "invoicing", "tracking"];

fn workload(name: &str) -> WorkloadName {
    WorkloadName::new("craterate", name)
}

fn intent(replicas: &[(&str, u32)]) -> Intent {
    let workloads = replicas.iter().map(|(name, replicas)| fixtures::workload(name, *replicas)).collect();
    Intent { workloads, ..Intent::default() }
}

fn serving<'a>(plan: &'a Plan, name: &str) -> Vec<&'a str> {
    let of_workload = |i: &&PlannedInstance| plan.workloads[i.workload].name.name == name;
    let serve = plan.instances.iter().filter(of_workload).filter(|i| i.state == InstanceState::Serve);
    serve.map(|i| i.name.as_str()).collect()
}

fn state(plan: &Plan, name: &str) -> Option<InstanceState> {
    plan.instances.iter().find(|i| i.name.as_str() == name).map(|i| i.state)
}

/// The runtime's part: what is planned runs, and the plan is known.
fn run(plan: &Plan) -> Inventory {
    let instances =
        plan.instances.iter().map(|planned| fixtures::instance(&planned.name, &plan.workloads[planned.workload].name));
    Inventory { generation: plan.generation, instances: instances.collect(), edge: None }
}

fn all_at(inventory: &Inventory, generation: Generation) -> Acknowledged {
    let proxies = inventory.instances.iter().map(|i| (i.name.to_string(), generation)).collect();
    Acknowledged { proxies, given_up: Generation(0) }
}

#[test]
fn the_first_plan_serves_what_the_files_want() {
    let intent = intent(&[("invoicing", 2)]);
    let nothing = Inventory::default();
    let plan = next_plan(&intent, &Overrides::new(), &nothing, &Plan::default(), &Acknowledged::default()).unwrap();
    assert_eq!(plan.generation, Generation(1));
    assert_eq!(serving(&plan, "invoicing"), ["invoicing.craterate-0", "invoicing.craterate-1"]);
    assert!(plan.edge, "who knocks where no route leads gets an answer");
}

#[test]
fn a_scale_down_waits_for_every_live_proxy_at_each_step() {
    let intent = intent(&[("invoicing", 2)]);
    let overrides = Overrides::from([(workload("invoicing"), 1)]);
    let first =
        next_plan(&intent, &Overrides::new(), &Inventory::default(), &Plan::default(), &Acknowledged::default());
    let first = first.unwrap();
    let inventory = run(&first);
    let acknowledged = all_at(&inventory, first.generation);

    let second = next_plan(&intent, &overrides, &inventory, &first, &acknowledged).unwrap();
    let since = second.generation;
    assert_eq!(state(&second, "invoicing.craterate-1"), Some(InstanceState::Withdraw { since }));

    let mut inventory = Inventory { generation: since, ..inventory };
    inventory.edge = Some(ProxyProcess { pid: 7, token_sha256: String::new() });
    let mut acknowledged = all_at(&inventory, since);
    assert_eq!(acknowledged.behind(&inventory, since), [EDGE_NODE]);
    assert_eq!(next_plan(&intent, &overrides, &inventory, &second, &acknowledged), None, "the edge may still send");

    acknowledged.proxies.insert(EDGE_NODE.to_owned(), since);
    let third = next_plan(&intent, &overrides, &inventory, &second, &acknowledged).unwrap();
    assert_eq!(state(&third, "invoicing.craterate-1"), Some(InstanceState::Stop));

    inventory.generation = third.generation;
    assert_eq!(next_plan(&intent, &overrides, &inventory, &third, &acknowledged), None, "it still runs");
    inventory.instances.retain(|i| i.name.as_str() != "invoicing.craterate-1");
    let fourth = next_plan(&intent, &overrides, &inventory, &third, &acknowledged).unwrap();
    assert_eq!(state(&fourth, "invoicing.craterate-1"), None);
    assert_eq!(serving(&fourth, "invoicing"), ["invoicing.craterate-0"]);
}

#[test]
fn a_proxy_that_is_never_heard_of_is_given_up() {
    let intent = intent(&[("invoicing", 1)]);
    let overrides = Overrides::from([(workload("invoicing"), 0)]);
    let first =
        next_plan(&intent, &Overrides::new(), &Inventory::default(), &Plan::default(), &Acknowledged::default());
    let inventory = run(&first.clone().unwrap());
    let silent = Acknowledged::default();
    let second = next_plan(&intent, &overrides, &inventory, &first.unwrap(), &silent).unwrap();
    assert_eq!(next_plan(&intent, &overrides, &inventory, &second, &silent), None);
    let given_up = Acknowledged { given_up: second.generation, ..silent };
    let third = next_plan(&intent, &overrides, &inventory, &second, &given_up).unwrap();
    assert_eq!(state(&third, "invoicing.craterate-0"), Some(InstanceState::Stop));
}

#[test]
fn what_is_not_ready_goes_first() {
    let intent = intent(&[("invoicing", 3)]);
    let first =
        next_plan(&intent, &Overrides::new(), &Inventory::default(), &Plan::default(), &Acknowledged::default());
    let first = first.unwrap();
    let mut inventory = run(&first);
    inventory.instances[0].ready = false;
    let overrides = Overrides::from([(workload("invoicing"), 1)]);
    let second = next_plan(&intent, &overrides, &inventory, &first, &all_at(&inventory, first.generation)).unwrap();
    assert_eq!(serving(&second, "invoicing"), ["invoicing.craterate-1"]);
}

#[test]
fn a_lost_store_kills_nothing_and_never_goes_back() {
    let intent = intent(&[("invoicing", 2)]);
    let first =
        next_plan(&intent, &Overrides::new(), &Inventory::default(), &Plan::default(), &Acknowledged::default());
    let mut inventory = run(&first.unwrap());
    inventory.generation = Generation(41);
    let plan = next_plan(&intent, &Overrides::new(), &inventory, &Plan::default(), &Acknowledged::default()).unwrap();
    assert_eq!(plan.generation, Generation(42));
    assert_eq!(serving(&plan, "invoicing"), ["invoicing.craterate-0", "invoicing.craterate-1"]);
}

#[test]
fn a_workload_that_left_the_files_stays_until_its_last_instance_is_gone() {
    let both = intent(&[("booking", 1), ("invoicing", 1)]);
    let first = next_plan(&both, &Overrides::new(), &Inventory::default(), &Plan::default(), &Acknowledged::default());
    let first = first.unwrap();
    let inventory = run(&first);
    let one = intent(&[("invoicing", 1)]);
    let second = next_plan(&one, &Overrides::new(), &inventory, &first, &all_at(&inventory, first.generation)).unwrap();
    assert_eq!(second.workloads.len(), 2);
    assert_eq!(serving(&second, "booking"), Vec::<&str>::new());
    assert_eq!(serving(&second, "invoicing").len(), 1);
}

/// One thing that happens to a mesh.
#[derive(Clone, Debug)]
enum Event {
    Scale(usize, u32),
    Apply([u32; 3]),
    /// The runtime takes the newest plan and does all that it says.
    RuntimeCatchesUp,
    Acknowledge(usize),
    Disconnect(usize),
    SidecarDies(usize),
    ReadinessFlips(usize),
    GiveUp,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..3usize, 0..5u32).prop_map(|(workload, replicas)| Event::Scale(workload, replicas)),
        [0..4u32, 0..4u32, 0..4u32].prop_map(Event::Apply),
        Just(Event::RuntimeCatchesUp),
        Just(Event::RuntimeCatchesUp),
        (0..12usize).prop_map(Event::Acknowledge),
        (0..12usize).prop_map(Event::Disconnect),
        (0..12usize).prop_map(Event::SidecarDies),
        (0..12usize).prop_map(Event::ReadinessFlips),
        Just(Event::GiveUp),
    ];
    proptest::collection::vec(event, 1..60)
}

/// A mesh in miniature, which checks each step that the planner takes.
#[derive(Debug, Default)]
struct World {
    intent: Intent,
    overrides: Overrides,
    inventory: Inventory,
    plan: Plan,
    acknowledged: Acknowledged,
}

impl World {
    fn happens(&mut self, event: &Event) {
        match event {
            Event::Scale(index, replicas) => {
                self.overrides.insert(workload(WORKLOADS[*index]), *replicas);
            }
            Event::Apply(replicas) => {
                // None of a workload stands for its absence from the files.
                let wanted: Vec<_> = WORKLOADS.into_iter().zip(*replicas).filter(|(_, n)| *n > 0).collect();
                self.intent = intent(&wanted);
                self.overrides.clear();
            }
            Event::RuntimeCatchesUp => self.runtime_catches_up(),
            Event::Acknowledge(index) => {
                if let Some(name) = self.node(*index) {
                    self.acknowledged.proxies.insert(name, self.plan.generation);
                }
            }
            Event::Disconnect(index) => {
                if let Some(name) = self.node(*index) {
                    self.acknowledged.proxies.remove(&name);
                }
            }
            Event::SidecarDies(index) => {
                if let Some(instance) = self.inventory.instances.get_mut(*index) {
                    instance.sidecar = None;
                    self.acknowledged.proxies.remove(instance.name.as_str());
                }
            }
            Event::ReadinessFlips(index) => {
                if let Some(instance) = self.inventory.instances.get_mut(*index) {
                    instance.ready = !instance.ready;
                }
            }
            Event::GiveUp => self.acknowledged.given_up = self.plan.generation,
        }
    }

    fn node(&self, index: usize) -> Option<String> {
        let instance = self.inventory.instances.get(index)?;
        instance.sidecar.is_some().then(|| instance.name.to_string())
    }

    fn runtime_catches_up(&mut self) {
        let before: BTreeMap<_, _> = self.inventory.instances.drain(..).map(|i| (i.name.clone(), i)).collect();
        let runs = self.plan.instances.iter().filter(|planned| planned.state != InstanceState::Stop);
        let instance = |planned: &PlannedInstance| {
            let fresh = || fixtures::instance(&planned.name, &self.plan.workloads[planned.workload].name);
            before.get(&planned.name).cloned().unwrap_or_else(fresh)
        };
        self.inventory.instances = runs.map(instance).collect();
        self.inventory.generation = self.plan.generation;
    }

    fn ask(&self) -> Option<Plan> {
        next_plan(&self.intent, &self.overrides, &self.inventory, &self.plan, &self.acknowledged)
    }

    fn wanted(&self, name: &WorkloadName) -> usize {
        let workload = self.intent.workloads.iter().find(|workload| workload.name == *name);
        let files = workload.map(|workload| workload.replicas);
        let replicas = files.map_or(0, |files| self.overrides.get(name).copied().unwrap_or(files));
        usize::try_from(replicas).unwrap()
    }

    /// Asks for the next plan, checks all laws, and takes it.
    fn step(&mut self) -> Result<(), TestCaseError> {
        let mut reordered = World { inventory: self.inventory.clone(), ..World::default() };
        reordered.inventory.instances.reverse();
        reordered.intent.workloads = self.intent.workloads.iter().rev().cloned().collect();
        let answer = self.ask();
        let other = next_plan(&reordered.intent, &self.overrides, &reordered.inventory, &self.plan, &self.acknowledged);
        prop_assert_eq!(&answer, &other, "the order of what is said changed the answer");

        let Some(next) = answer else { return Ok(()) };
        prop_assert!(next.generation > self.plan.generation && next.generation > self.inventory.generation);
        prop_assert_eq!(next.parent, self.plan.generation);
        for workload in &next.workloads {
            prop_assert_eq!(serving(&next, &workload.name.name).len(), self.wanted(&workload.name));
        }
        for instance in &next.instances {
            self.check_transition(&next, instance)?;
        }
        self.plan = next;
        prop_assert_eq!(self.ask(), None, "the planner's own answer gave another");
        Ok(())
    }

    fn check_transition(&self, next: &Plan, instance: &PlannedInstance) -> Result<(), TestCaseError> {
        use InstanceState::{Serve, Stop, Withdraw};
        let before = state(&self.plan, instance.name.as_str());
        let is_running = self.inventory.instances.iter().any(|i| i.name == instance.name);
        match (before, instance.state) {
            (None, Serve) => prop_assert!(!is_running, "{} is used again while it runs", instance.name),
            (Some(Serve), Serve) | (Some(Stop), Stop) => {}
            (Some(Serve), Withdraw { since }) => prop_assert_eq!(since, next.generation),
            (Some(Withdraw { since: a }), Withdraw { since: b }) => prop_assert_eq!(a, b),
            (Some(Withdraw { since }), Stop) => {
                prop_assert!(self.acknowledged.behind(&self.inventory, since).is_empty());
            }
            // In one step only when nobody is left to be told.
            (Some(Serve), Stop) => {
                prop_assert!(self.acknowledged.behind(&self.inventory, next.generation).is_empty());
            }
            other => prop_assert!(false, "{} went {other:?}", instance.name),
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_laws_hold_whatever_happens(events in events()) {
        let mut world = World::default();
        for event in &events {
            world.happens(event);
            world.step()?;
        }
        // Left alone, with everyone doing their part, it comes to rest at what is wanted.
        for _round in 0..8 {
            world.acknowledged = all_at(&world.inventory, world.plan.generation);
            world.step()?;
            world.runtime_catches_up();
            world.step()?;
        }
        prop_assert!(world.plan.instances.iter().all(|i| i.state == InstanceState::Serve));
        prop_assert_eq!(world.plan.workloads.len(), world.intent.workloads.len());
    }
}
