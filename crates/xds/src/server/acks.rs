//! How far each connected proxy is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use samspill_model::plan::Generation;
use tokio::sync::watch;

/// The connected proxies and the generation that each has wholly acknowledged. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    generations: watch::Sender<BTreeMap<String, Generation>>,
    proxies: Arc<Mutex<Proxies>>,
}

#[derive(Debug, Default)]
struct Proxies {
    next_stream: u64,
    by_node: BTreeMap<String, Proxy>,
}

#[derive(Debug)]
struct Proxy {
    /// Its newest stream: a proxy may be back before its former connection is known to be dead.
    stream: u64,
    refusal: Option<String>,
}

impl Acks {
    /// Nobody is connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Node ids (instance names, or `edge`) and their generations: 0 until the first is acknowledged; no entry without a
    /// stream.
    pub fn subscribe(&self) -> watch::Receiver<BTreeMap<String, Generation>> {
        self.generations.subscribe()
    }

    /// The proxies that refuse something of what they were last sent, with their newest reason.
    pub fn refusals(&self) -> BTreeMap<String, String> {
        let proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = |(node, proxy): (&String, &Proxy)| Some((node.clone(), proxy.refusal.clone()?));
        proxies.by_node.iter().filter_map(refusal).collect()
    }

    /// Counts a stream in, until the answer is dropped.
    pub(super) fn connect(&self, node: &str) -> Connection {
        let mut proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = proxies.next_stream;
        proxies.next_stream += 1;
        proxies.by_node.insert(node.to_owned(), Proxy { stream, refusal: None });
        self.generations.send_modify(|generations| {
            generations.insert(node.to_owned(), Generation::default());
        });
        Connection { acks: self.clone(), node: node.to_owned(), stream }
    }
}

/// One stream's entry in [`Acks`].
#[derive(Debug)]
pub(super) struct Connection {
    acks: Acks,
    node: String,
    stream: u64,
}

impl Connection {
    /// Says how far the proxy is, and what it refuses.
    pub(super) fn report(&self, generation: Generation, refusal: Option<&str>) {
        let mut proxies = self.acks.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(proxy) = proxies.by_node.get_mut(&self.node).filter(|proxy| proxy.stream == self.stream) else {
            return;
        };
        if proxy.refusal.as_deref() != refusal {
            proxy.refusal = refusal.map(str::to_owned);
        }
        self.acks
            .generations
            .send_if_modified(|generations| generations.insert(self.node.clone(), generation) != Some(generation));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut proxies = self.acks.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        if proxies.by_node.get(&self.node).is_some_and(|proxy| proxy.stream == self.stream) {
            proxies.by_node.remove(&self.node);
            self.acks.generations.send_modify(|generations| {
                generations.remove(&self.node);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_former_stream_does_not_disconnect() {
        let acks = Acks::new();
        let generations = acks.subscribe();
        let former = acks.connect("a-0");
        let present = acks.connect("a-0");
        present.report(Generation(2), Some("refused"));
        former.report(Generation(1), None);
        drop(former);
        assert_eq!(*generations.borrow(), BTreeMap::from([("a-0".to_owned(), Generation(2))]));
        assert_eq!(acks.refusals(), BTreeMap::from([("a-0".to_owned(), "refused".to_owned())]));
        drop(present);
        assert!(generations.borrow().is_empty());
    }
}
