//! Decides who is asking. What a caller says of itself is never believed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use samspill_model::identity::SpiffeId;
use samspill_model::inventory::{Inventory, ProxyProcess};
use samspill_observability::chain;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::planner::EDGE_NODE;
use crate::snapshot;
use crate::store::{SpentTokens, Store};

/// How long a proxy may be faster than the runtime's message about it. The runtime says it at once, so this is for a controller
/// that has just been started again. Shorter than a proxy waits, so that it hears why.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a caller gets no identity. The text is for the caller, and says nothing that it could not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttestError {
    #[error("the token is not known")]
    UnknownToken,
    #[error("the token belongs to another process")]
    WrongProcess,
    #[error("the token has been used before, for another key")]
    SpentToken,
    #[error("nothing runs with this identity")]
    NotInMesh,
    #[error("the store cannot be written; try again later")]
    Store,
}

/// Knows from the runtime which process is which.
#[derive(Debug)]
pub(crate) struct Attestor {
    trust_domain: String,
    inventory: watch::Receiver<Option<Arc<Inventory>>>,
    store: Arc<Store>,
    spent: Mutex<SpentTokens>,
}

impl Attestor {
    pub(crate) fn new(
        trust_domain: String,
        inventory: watch::Receiver<Option<Arc<Inventory>>>,
        store: Arc<Store>,
        spent: SpentTokens,
    ) -> Self {
        Self { trust_domain, inventory, store, spent: Mutex::new(spent) }
    }

    /// The identity of the process `pid`, which shows `token` and wants a certificate by the request `csr_der`.
    ///
    /// The token must be the one that the runtime gave to exactly this process, and is good for one request: the same request
    /// may come again, when its answer was lost, another one is refused. Spent tokens are durable before the answer.
    pub(crate) async fn by_token(&self, pid: u32, token: &str, csr_der: &[u8]) -> Result<SpiffeId, AttestError> {
        let token_sha256 = hex_sha256(token.as_bytes());
        let mut receiver = self.inventory.clone();
        let is_known = |inventory: &Option<Arc<Inventory>>| {
            inventory.as_ref().is_some_and(|inventory| self.owner(inventory, &token_sha256).is_some())
        };
        let known = tokio::time::timeout(PATIENCE, receiver.wait_for(is_known)).await;
        let Ok(Ok(inventory)) = known.map(|known| known.map(|inventory| inventory.clone())) else {
            return Err(AttestError::UnknownToken);
        };
        let inventory = inventory.unwrap_or_default();
        let (process, identity) = self.owner(&inventory, &token_sha256).ok_or(AttestError::UnknownToken)?;
        if process.pid != pid {
            return Err(AttestError::WrongProcess);
        }
        self.spend(token_sha256, hex_sha256(csr_der), &inventory)?;
        Ok(identity)
    }

    /// Whether somebody still runs with an identity that a certificate has proven.
    pub(crate) fn by_certificate(&self, id: &SpiffeId) -> Result<(), AttestError> {
        let inventory = self.inventory.borrow().clone().unwrap_or_default();
        let runs = self.everyone(&inventory).any(|(_node, _process, identity)| identity == *id);
        if runs { Ok(()) } else { Err(AttestError::NotInMesh) }
    }

    /// Whether `id` may call itself `node`.
    pub(crate) fn is_node(&self, id: &SpiffeId, node: &str) -> bool {
        let inventory = self.inventory.borrow().clone().unwrap_or_default();
        self.everyone(&inventory).any(|(name, _process, identity)| name == node && identity == *id)
    }

    fn owner<'a>(&self, inventory: &'a Inventory, token_sha256: &str) -> Option<(&'a ProxyProcess, SpiffeId)> {
        let mut everyone = self.everyone(inventory);
        // An empty hash is no proof of anything.
        let owns = |process: &ProxyProcess| !token_sha256.is_empty() && process.token_sha256 == token_sha256;
        everyone.find_map(|(_node, process, id)| process.filter(|process| owns(process)).map(|process| (process, id)))
    }

    /// Everything with a proxy: node id, process, identity.
    fn everyone<'a>(
        &self,
        inventory: &'a Inventory,
    ) -> impl Iterator<Item = (&'a str, Option<&'a ProxyProcess>, SpiffeId)> {
        let instances = inventory.instances.iter().map(|instance| {
            let identity = snapshot::identity(&self.trust_domain, instance);
            (instance.name.as_str(), instance.sidecar.as_ref(), identity)
        });
        let edge = inventory.edge.iter().map(|process| (EDGE_NODE, Some(process), SpiffeId::edge(&self.trust_domain)));
        instances.chain(edge)
    }

    fn spend(&self, token: String, request: String, inventory: &Inventory) -> Result<(), AttestError> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        match spent.get(&token) {
            Some(before) if *before == request => return Ok(()),
            Some(_another) => return Err(AttestError::SpentToken),
            None => {}
        }
        // Tokens of processes that are gone attest nobody, spent or not.
        let is_live = |hash: &String| self.owner(inventory, hash).is_some();
        let mut next: BTreeMap<String, String> =
            spent.iter().filter(|(hash, _)| is_live(hash)).map(|(a, b)| (a.clone(), b.clone())).collect();
        next.insert(token, request);
        self.store.put_spent(&next).map_err(|error| {
            tracing::error!(error = %chain(&error), "a token could not be marked as spent, so it is not honoured");
            AttestError::Store
        })?;
        *spent = next;
        Ok(())
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use samspill_model::name::{InstanceName, WorkloadName};
    use tempfile::TempDir;

    use super::*;
    use crate::fixtures;

    const TOKEN: &str = "5f00";

    struct Office {
        attestor: Attestor,
        inventory: watch::Sender<Option<Arc<Inventory>>>,
        _folder: TempDir,
    }

    fn office() -> Office {
        let folder = TempDir::new().unwrap();
        let (store, stored) = Store::open(folder.path(), || Ok::<_, Infallible>(String::new())).unwrap();
        let (inventory, receiver) = watch::channel(None);
        let attestor = Attestor::new("samspill.local".to_owned(), receiver, Arc::new(store), stored.spent);
        Office { attestor, inventory, _folder: folder }
    }

    /// One instance of `invoicing`, whose sidecar is process 7 and has the token, and an edge without one.
    fn inventory() -> Arc<Inventory> {
        let workload = WorkloadName::new("craterate", "invoicing");
        let mut instance = fixtures::instance(&InstanceName::new(&workload, 0), &workload);
        instance.sidecar = Some(ProxyProcess { pid: 7, token_sha256: hex_sha256(TOKEN.as_bytes()) });
        let edge = Some(ProxyProcess { pid: 8, token_sha256: String::new() });
        Arc::new(Inventory { instances: vec![instance], edge, ..Inventory::default() })
    }

    fn invoicing() -> SpiffeId {
        SpiffeId::new("samspill.local", "craterate", "invoicing")
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_for_one_process_and_one_request() {
        let office = office();
        office.inventory.send_replace(Some(inventory()));
        let by_token = |pid, token, csr| office.attestor.by_token(pid, token, csr);
        assert_eq!(by_token(8, TOKEN, b"request").await, Err(AttestError::WrongProcess));
        assert_eq!(by_token(7, "5f01", b"request").await, Err(AttestError::UnknownToken));
        assert_eq!(by_token(8, "", b"request").await, Err(AttestError::UnknownToken));
        assert_eq!(by_token(7, TOKEN, b"request").await, Ok(invoicing()));
        assert_eq!(by_token(7, TOKEN, b"request").await, Ok(invoicing()), "its answer may have been lost");
        assert_eq!(by_token(7, TOKEN, b"another").await, Err(AttestError::SpentToken));
    }

    #[tokio::test]
    async fn a_proxy_may_be_faster_than_the_news_of_it() {
        let office = office();
        let asks = office.attestor.by_token(7, TOKEN, b"request");
        let says = async { office.inventory.send_replace(Some(inventory())) };
        assert_eq!(tokio::join!(asks, says).0, Ok(invoicing()));
    }

    #[tokio::test]
    async fn spent_stays_spent_when_the_controller_returns() {
        let folder = TempDir::new().unwrap();
        let (_sender, receiver) = watch::channel(Some(inventory()));
        let open = || Store::open(folder.path(), || Ok::<_, Infallible>(String::new())).unwrap();
        let attestor = |(store, stored): (Store, crate::store::Stored)| {
            Attestor::new("samspill.local".to_owned(), receiver.clone(), Arc::new(store), stored.spent)
        };
        let first = attestor(open());
        first.by_token(7, TOKEN, b"request").await.unwrap();
        drop(first);
        assert_eq!(attestor(open()).by_token(7, TOKEN, b"another").await, Err(AttestError::SpentToken));
    }

    #[test]
    fn a_certificate_is_good_for_what_still_runs() {
        let office = office();
        assert_eq!(office.attestor.by_certificate(&invoicing()), Err(AttestError::NotInMesh));
        office.inventory.send_replace(Some(inventory()));
        assert_eq!(office.attestor.by_certificate(&invoicing()), Ok(()));
        let stranger = SpiffeId::new("elsewhere.local", "craterate", "invoicing");
        assert_eq!(office.attestor.by_certificate(&stranger), Err(AttestError::NotInMesh));
    }

    #[test]
    fn a_node_is_who_its_certificate_says() {
        let office = office();
        office.inventory.send_replace(Some(inventory()));
        let edge = SpiffeId::edge("samspill.local");
        assert!(office.attestor.is_node(&invoicing(), "invoicing.craterate-0"));
        assert!(office.attestor.is_node(&edge, "edge"));
        assert!(!office.attestor.is_node(&edge, "invoicing.craterate-0"));
        assert!(!office.attestor.is_node(&invoicing(), "edge"));
        assert!(!office.attestor.is_node(&invoicing(), "invoicing.craterate-1"));
    }
}
