//! What the names mean: the seam between whoever knows (the ADS client) and the engines that ask.
//!
//! The first question about a name tells the knower that the name is wanted. Every answer is a whole snapshot; a later one
//! replaces it, and a lost controller leaves the last good one in place.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use samspill_model::name::ServicePort;
use samspill_model::snapshot::{Backend, RouteTable};
use tokio::sync::{mpsc, watch};

/// What is known of a name.
#[derive(Debug)]
pub enum Lookup<T> {
    /// Asked, and not answered yet.
    Pending,
    /// There is no such name.
    Missing,
    /// This is what it means now.
    Found(Arc<T>),
}

impl<T> Clone for Lookup<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Pending => Self::Pending,
            Self::Missing => Self::Missing,
            Self::Found(value) => Self::Found(Arc::clone(value)),
        }
    }
}

/// Which routes are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoutesOf {
    /// Calls to a service, by its name.
    Service(ServicePort),
    /// A stranger's calls to the edge.
    Edge,
}

/// A map from names to their newest meaning. Cheap to clone; shared by all workers and the knower.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: Table<RoutesOf, RouteTable>,
    backends: Table<ServicePort, Backend>,
    wanted: mpsc::UnboundedSender<RoutesOf>,
}

impl Directory {
    /// An empty directory, and the questions that will be asked of it: each name once. A backend is never asked for by
    /// itself: whoever knows a route knows its backends.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<RoutesOf>) {
        let (wanted, questions) = mpsc::unbounded_channel();
        let inner = Inner { routes: Table::default(), backends: Table::default(), wanted };
        (Self(Arc::new(inner)), questions)
    }

    /// The routes of a name, and every later version of them.
    pub fn routes(&self, of: &RoutesOf) -> watch::Receiver<Lookup<RouteTable>> {
        let (receiver, is_first) = self.0.routes.subscribe(of);
        if is_first {
            // The knower is gone only when the process ends.
            drop(self.0.wanted.send(of.clone()));
        }
        receiver
    }

    /// The backend of a name, and every later version of it.
    pub fn backend(&self, name: &ServicePort) -> watch::Receiver<Lookup<Backend>> {
        self.0.backends.subscribe(name).0
    }

    /// Says what routes mean now; `None`: there are none.
    pub fn set_routes(&self, of: &RoutesOf, table: Option<RouteTable>) {
        self.0.routes.set(of, table);
    }

    /// Says what a backend is now; `None`: there is none.
    pub fn set_backend(&self, name: &ServicePort, backend: Option<Backend>) {
        self.0.backends.set(name, backend);
    }
}

/// One kind of name. The lock is held for a map access only, and taken once per name and worker.
#[derive(Debug)]
struct Table<K, V>(Mutex<HashMap<K, watch::Sender<Lookup<V>>>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V> Table<K, V> {
    fn subscribe(&self, key: &K) -> (watch::Receiver<Lookup<V>>, bool) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !entries.contains_key(key);
        let sender = entries.entry(key.clone()).or_insert_with(|| watch::channel(Lookup::Pending).0);
        (sender.subscribe(), is_first)
    }

    fn set(&self, key: &K, value: Option<V>) {
        let lookup = value.map_or(Lookup::Missing, |value| Lookup::Found(Arc::new(value)));
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(key.clone()).or_insert_with(|| watch::channel(Lookup::Pending).0).send_replace(lookup);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_wanted_once_and_its_answer_is_seen_by_all() {
        let (directory, mut questions) = Directory::new();
        let of = RoutesOf::Service(ServicePort::new("invoicing", "craterate", 80));
        let first = directory.routes(&of);
        let second = directory.routes(&of);
        assert_eq!(questions.try_recv().ok(), Some(of.clone()));
        assert!(questions.try_recv().is_err());
        assert!(matches!(*first.borrow(), Lookup::Pending));
        directory.set_routes(&of, Some(RouteTable::default()));
        assert!(matches!(*first.borrow(), Lookup::Found(_)));
        assert!(matches!(*second.borrow(), Lookup::Found(_)));
        directory.set_routes(&of, None);
        assert!(matches!(*directory.routes(&of).borrow(), Lookup::Missing));
    }
}
