//! What one stream subscribes to, has been told, and has acknowledged. No I/O: requests in, responses out.

mod subscription;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use samspill_model::plan::Generation;
use tonic::Status;

use crate::USER_AGENT;
use crate::kind::Kind;
use crate::render::Resources;
use subscription::{Difference, Subscription};

/// Names that one proxy may subscribe to. Far above what one calls; bounds what a broken one costs.
const MAX_NAMES: usize = 10_000;

/// Responses that one proxy may leave unanswered.
const MAX_UNANSWERED: usize = 1_000;

/// One stream's state.
pub(super) struct Session<F> {
    node: String,
    may_have_inbound: F,
    subscriptions: BTreeMap<Kind, Subscription>,
    /// Responses without an ACK or NACK, oldest first.
    unanswered: VecDeque<Sent>,
    next_nonce: u64,
    /// What the proxy has refused and has not acknowledged since.
    refused: BTreeMap<Kind, BTreeSet<String>>,
    refusal: Option<String>,
    /// Whether the proxy has said all that it holds from before.
    complete: bool,
    /// Generations of which everything has been sent and something may be unanswered, oldest first.
    pushed: VecDeque<Generation>,
    generation: Generation,
}

/// A response that waits for its answer.
#[derive(Debug)]
struct Sent {
    nonce: String,
    kind: Kind,
    names: BTreeSet<String>,
    generation: Generation,
}

impl<F: Fn(&str) -> bool> Session<F> {
    pub(super) fn new(node: Node, may_have_inbound: F) -> Self {
        Self {
            node: node.id,
            may_have_inbound,
            subscriptions: BTreeMap::new(),
            unanswered: VecDeque::new(),
            next_nonce: 1,
            refused: BTreeMap::new(),
            refusal: None,
            complete: node.user_agent_name != USER_AGENT,
            pushed: VecDeque::new(),
            generation: Generation::default(),
        }
    }

    /// The newest generation that the proxy is wholly at.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Why the proxy has refused what it refuses now, if it does.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref().filter(|_reason| !self.refused.is_empty())
    }

    /// Takes in one request. What follows from it, the generation included, is up to the next [`push`](Self::push).
    ///
    /// # Errors
    /// The proxy exceeds a limit: end the stream with this.
    pub(super) fn receive(&mut self, request: DeltaDiscoveryRequest) -> Result<Option<DeltaDiscoveryResponse>, Status> {
        let Some(kind) = Kind::from_type_url(&request.type_url) else { return Ok(self.receive_unknown(request)) };
        if !request.response_nonce.is_empty() {
            self.receive_answer(&request);
        }
        self.complete |= kind == Kind::Inbound;
        let subscription = self.subscriptions.entry(kind).or_insert_with(|| Subscription::new(kind, &request));
        for name in subscription.change(request) {
            self.forget_refused(kind, [&name]);
        }
        let names: usize = self.subscriptions.values().map(Subscription::len).sum();
        if names > MAX_NAMES || self.unanswered.len() > MAX_UNANSWERED {
            return Err(Status::resource_exhausted(format!(
                "more than {MAX_NAMES} names, or {MAX_UNANSWERED} responses without an answer"
            )));
        }
        Ok(None)
    }

    /// No resource of a type that we do not know exists, and its subscriber need not wait to learn that.
    fn receive_unknown(&mut self, request: DeltaDiscoveryRequest) -> Option<DeltaDiscoveryResponse> {
        request.response_nonce.is_empty().then(|| DeltaDiscoveryResponse {
            type_url: request.type_url,
            removed_resources: request.resource_names_subscribe,
            nonce: self.nonce(),
            ..DeltaDiscoveryResponse::default()
        })
    }

    fn receive_answer(&mut self, request: &DeltaDiscoveryRequest) {
        // Another nonce is stale, and says nothing about what is newer.
        let Some(at) = self.unanswered.iter().position(|sent| sent.nonce == request.response_nonce) else { return };
        let Some(Sent { kind, names, generation, .. }) = self.unanswered.remove(at) else { return };
        match &request.error_detail {
            None => self.accepted(kind, &names),
            Some(error) => {
                let Self { node, .. } = self;
                tracing::warn!(node, %generation, r#type = kind.type_url(), reason = error.message, "a proxy refuses its configuration");
                self.refusal = Some(error.message.clone());
                self.refused.entry(kind).or_default().extend(names);
            }
        }
    }

    /// A response is refused as a whole, and we cannot know for which of its names. So when one of them is accepted, the others
    /// are tried again.
    fn accepted(&mut self, kind: Kind, names: &BTreeSet<String>) {
        if let Some(refused) = self.refused.get(&kind).filter(|refused| !refused.is_disjoint(names))
            && let Some(subscription) = self.subscriptions.get_mut(&kind)
        {
            subscription.send_again(&(refused - names));
        }
        self.forget_refused(kind, names);
    }

    fn forget_refused<'a>(&mut self, kind: Kind, names: impl IntoIterator<Item = &'a String>) {
        if let Some(refused) = self.refused.get_mut(&kind) {
            for name in names {
                refused.remove(name);
            }
        }
        self.refused.retain(|_kind, names| !names.is_empty());
    }

    /// What the proxy has to be told, if these are the newest resources.
    pub(super) fn push(&mut self, resources: &Resources) -> Vec<DeltaDiscoveryResponse> {
        let mut responses = Vec::new();
        let mut removals: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
        for kind in Kind::UPSERTS {
            let Some(subscription) = self.subscriptions.get(&kind) else { continue };
            let mut difference = subscription.difference(resources, &self.may_have_inbound);
            removals.insert(kind, std::mem::take(&mut difference.removed));
            if kind == Kind::Cluster
                && let Some(endpoints) = self.subscriptions.get_mut(&Kind::Endpoints)
            {
                endpoints.send_again(&difference.upserts);
            }
            if !difference.is_empty() {
                responses.push(self.respond(kind, difference, resources));
            }
        }
        let mut withheld = false;
        for kind in Kind::REMOVALS {
            let removed = removals.remove(&kind).filter(|removed| !removed.is_empty());
            let Some(removed) = removed else { continue };
            if matches!(kind, Kind::Cluster | Kind::Endpoints) && self.routes_are_pending() {
                withheld = true;
            } else {
                let difference = Difference { removed, ..Difference::default() };
                responses.push(self.respond(kind, difference, resources));
            }
        }
        if !withheld && resources.generation > self.pushed.back().copied().unwrap_or(self.generation) {
            self.pushed.push_back(resources.generation);
        }
        self.settle();
        responses
    }

    /// Whether the proxy may still be using routes to backends that are gone.
    fn routes_are_pending(&self) -> bool {
        let routing = |kind: Kind| matches!(kind, Kind::Listener | Kind::Routes);
        !self.complete
            || self.unanswered.iter().any(|sent| routing(sent.kind))
            || self.refused.keys().any(|&kind| routing(kind))
    }

    fn respond(&mut self, kind: Kind, difference: Difference, resources: &Resources) -> DeltaDiscoveryResponse {
        let upserts: Vec<Resource> = difference
            .upserts
            .into_iter()
            .filter_map(|name| {
                let resource = resources.get(kind, &name)?;
                let (version, payload) = (resource.version.clone(), Some(resource.payload.clone()));
                Some(Resource { name, version, resource: payload, ..Resource::default() })
            })
            .collect();
        let gone: BTreeSet<String> = difference.absent.into_iter().chain(difference.removed).collect();
        let nonce = self.nonce();
        if let Some(subscription) = self.subscriptions.get_mut(&kind) {
            subscription.told(&upserts, &gone);
        }
        let names = upserts.iter().map(|resource| resource.name.clone()).chain(gone.iter().cloned()).collect();
        self.unanswered.push_back(Sent { nonce: nonce.clone(), kind, names, generation: resources.generation });
        DeltaDiscoveryResponse {
            system_version_info: resources.generation.to_string(),
            resources: upserts,
            type_url: kind.type_url().to_owned(),
            removed_resources: gone.into_iter().collect(),
            nonce,
            ..DeltaDiscoveryResponse::default()
        }
    }

    fn nonce(&mut self) -> String {
        let nonce = self.next_nonce.to_string();
        self.next_nonce += 1;
        nonce
    }

    /// Moves to each pushed generation up to which nothing is unanswered or refused.
    fn settle(&mut self) {
        if !self.complete || !self.refused.is_empty() {
            return;
        }
        let oldest = self.unanswered.iter().map(|sent| sent.generation).min();
        while let Some(pushed) = self.pushed.pop_front_if(|pushed| oldest.is_none_or(|oldest| *pushed < oldest)) {
            self.generation = pushed;
        }
    }
}

impl<F> fmt::Debug for Session<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("node", &self.node)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
