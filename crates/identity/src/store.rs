//! Where a process keeps its identity while certificates come and go.

use std::sync::Arc;

use tokio::sync::watch;

use crate::identity::Identity;

/// The current identity. Clones share it. What was begun with an earlier one goes on: a rotation breaks no connection.
#[derive(Clone, Debug)]
pub struct IdentityStore(watch::Sender<Option<Arc<Identity>>>);

impl IdentityStore {
    /// Without an identity yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Puts a newer identity in place of the current one.
    pub fn set(&self, identity: Identity) {
        self.0.send_replace(Some(Arc::new(identity)));
    }

    /// The newest identity, if there is one.
    pub fn current(&self) -> Option<Arc<Identity>> {
        self.0.borrow().clone()
    }

    /// Tells of each change.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Identity>>> {
        self.0.subscribe()
    }

    /// The newest identity, as soon as there is one.
    pub async fn ready(&self) -> Arc<Identity> {
        let mut receiver = self.subscribe();
        let found = receiver.wait_for(Option::is_some).await.expect("`self` holds a sender");
        Arc::clone(found.as_ref().expect("waited for"))
    }
}

impl Default for IdentityStore {
    fn default() -> Self {
        Self::new()
    }
}
