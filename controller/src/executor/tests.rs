//! The loop without its doors, in a clock that jumps.

use std::convert::Infallible;

use futures_util::stream;
use samspill_model::inventory::ProxyProcess;
use samspill_model::plan::InstanceState;
use tempfile::TempDir;

use super::*;
use crate::fixtures;

/// A loop's other ends.
struct Around {
    runtime: mpsc::UnboundedSender<ToController>,
    told: mpsc::UnboundedReceiver<ToRuntime>,
    scales: mpsc::Sender<Scale>,
    acks: watch::Sender<BTreeMap<String, Generation>>,
    view: watch::Receiver<Option<Arc<View>>>,
    _folder: TempDir,
}

fn start() -> Around {
    let folder = TempDir::new().unwrap();
    let (store, stored) = Store::open(folder.path(), || Ok::<_, Infallible>(String::new())).unwrap();
    let (to_runtime, told) = mpsc::unbounded_channel();
    let outputs = Outputs {
        to_runtime,
        inventory: watch::Sender::new(None),
        resources: watch::Sender::new(None),
        view: watch::Sender::new(None),
    };
    let view = outputs.view.subscribe();
    let executor = Executor::new("samspill.local".to_owned(), Arc::new(store), stored, outputs);
    let (runtime, mut messages) = mpsc::unbounded_channel();
    let messages = stream::poll_fn(move |context| messages.poll_recv(context).map(|message| message.map(Ok)));
    let acks = watch::Sender::new(BTreeMap::new());
    let (scales, wishes) = mpsc::channel(1);
    samspill_net::task::spawn("executor", executor.run(messages, acks.subscribe(), wishes));
    Around { runtime, told, scales, acks, view, _folder: folder }
}

impl Around {
    async fn next_plan(&mut self) -> Plan {
        loop {
            if let ToRuntime::Plan(plan) = self.told.recv().await.unwrap() {
                return plan;
            }
        }
    }

    /// One instance of `invoicing` runs, and its sidecar lives.
    async fn up(&mut self) -> Inventory {
        self.runtime.send(ToController::Inventory(Inventory::default())).unwrap();
        self.runtime.send(ToController::Apply(Box::new(fixtures::intent("invoicing", 1)))).unwrap();
        let plan = self.next_plan().await;
        let instance = fixtures::instance(&plan.instances[0].name, &plan.workloads[0].name);
        let inventory = Inventory { generation: plan.generation, instances: vec![instance], edge: None };
        self.hears(&inventory).await;
        inventory
    }

    async fn hears(&mut self, inventory: &Inventory) {
        self.runtime.send(ToController::Inventory(inventory.clone())).unwrap();
        let is_heard = |view: &Option<Arc<View>>| view.as_ref().is_some_and(|view| *view.inventory == *inventory);
        self.view.wait_for(is_heard).await.unwrap();
    }

    /// Returns when all that was said before has been acted on: after each wish the loop looks at everything, and the second
    /// one is answered after that. Both change nothing.
    async fn settled(&mut self) {
        for _wish in 0..2 {
            self.scale(0).await;
        }
    }

    fn acknowledges(&self, generations: &[(&str, Generation)]) {
        let generations = generations.iter().map(|(node, generation)| ((*node).to_owned(), *generation));
        self.acks.send_replace(generations.collect());
    }

    async fn scale(&mut self, replicas: u32) -> Generation {
        let (reply, answer) = oneshot::channel();
        let workload = "invoicing".to_owned();
        self.scales.send(Scale { workload, replicas, reply }).await.unwrap();
        answer.await.unwrap().unwrap().generation
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_waited_for_half_a_minute() {
    let mut around = start();
    around.up().await;
    let before = Instant::now();
    let since = around.scale(0).await;
    assert_eq!(around.next_plan().await.instances[0].state, InstanceState::Withdraw { since });
    assert_eq!(around.next_plan().await.instances[0].state, InstanceState::Stop);
    assert!(before.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_is_not_up_is_not_waited_for_and_one_that_comes_up_is() {
    let mut around = start();
    let mut inventory = around.up().await;
    let before = Instant::now();
    let since = around.scale(0).await;
    around.next_plan().await;

    // The edge is there before the sidecar has acknowledged: it may have been told of the instance.
    inventory.generation = since;
    inventory.edge = Some(ProxyProcess { pid: 7, token_sha256: String::new() });
    around.hears(&inventory).await;
    around.acknowledges(&[("invoicing.craterate-0", since)]);
    around.settled().await;
    assert!(around.told.is_empty(), "the edge has said nothing");

    // It connects, and has not taken it yet.
    around.acknowledges(&[("invoicing.craterate-0", since), ("edge", Generation(0))]);
    around.settled().await;
    assert!(around.told.is_empty(), "the edge is behind");

    // It ends. What replaces it will hear the newest only.
    inventory.edge = None;
    around.hears(&inventory).await;
    assert_eq!(around.next_plan().await.instances[0].state, InstanceState::Stop);
    assert!(before.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_comes_back_in_the_middle_of_a_withdrawal_is_waited_for() {
    let mut around = start();
    let inventory = around.up().await;
    around.acknowledges(&[("invoicing.craterate-0", inventory.generation)]);
    let before = Instant::now();
    let since = around.scale(0).await;
    around.next_plan().await;
    // Gone, and there again with all that it had: the withdrawn instance, too.
    for generations in [&[][..], &[("invoicing.craterate-0", Generation(0))]] {
        around.acknowledges(generations);
        around.settled().await;
        assert!(around.told.is_empty(), "it may still send to the instance");
    }
    around.acknowledges(&[("invoicing.craterate-0", since)]);
    assert_eq!(around.next_plan().await.instances[0].state, InstanceState::Stop);
    assert!(before.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_has_acknowledged_is_not_waited_for() {
    let mut around = start();
    let mut inventory = around.up().await;
    let before = Instant::now();
    let since = around.scale(0).await;
    around.next_plan().await;
    around.acknowledges(&[("invoicing.craterate-0", since)]);
    assert_eq!(around.next_plan().await.instances[0].state, InstanceState::Stop);
    assert!(before.elapsed() < Duration::from_secs(30));

    inventory.generation = since.next();
    inventory.instances.clear();
    around.runtime.send(ToController::Inventory(inventory)).unwrap();
    assert!(around.next_plan().await.instances.is_empty());
}
