//! [`MemoryStore`]: answers in this process's memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::store::{AnswerStore, Attempt, Claim, StoredAnswer};

/// Requests that are remembered at once, if nothing else is said.
const MAX_ENTRIES: usize = 10_000;

/// What all answers may have together, if nothing else is said. In bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How long an answer is kept, if nothing else is said. What is common: a caller's last repeat comes within hours.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// What a request takes beside its answer: two digests, a token, and its places in the maps. In bytes, roughly.
const ENTRY_BYTES: usize = 512;

/// Keeps answers in the memory of this process.
///
/// **It serves a single process, and for as long as that lives.** A repeat that reaches another instance, or this one
/// after a restart, runs anew. Where that matters, write an [`AnswerStore`] on the database that all instances share.
///
/// It keeps at most 10,000 requests with 64 MiB, for a day. When it is full, the answer that would be forgotten first is
/// forgotten at once.
///
/// ```
/// use std::time::Duration;
///
/// use samspill::idempotency::{Idempotency, MemoryStore};
///
/// let store = MemoryStore::new().max_entries(1000).max_bytes(4 << 20).ttl(Duration::from_secs(3600));
/// let layer = Idempotency::new(store);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    max_entries: usize,
    max_bytes: usize,
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: HashMap<String, Entry>,
    /// The requests by their ends; the token makes each of them one.
    ends: BTreeMap<(Instant, String), String>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: String,
    token: String,
    end: Instant,
    answer: Option<StoredAnswer>,
}

/// As many requests are running as may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests with a key are running at once")]
pub struct Full;

impl Default for MemoryStore {
    fn default() -> Self {
        Self { max_entries: MAX_ENTRIES, max_bytes: MAX_BYTES, ttl: TTL, state: Mutex::default() }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers so many requests.
    #[must_use]
    pub fn max_entries(mut self, count: usize) -> Self {
        self.max_entries = count;
        self
    }

    /// Takes about so much memory, in bytes.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps an answer for so long.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim_now(&self, attempt: &Attempt, lease: Duration) -> Result<Claim, Full> {
        let mut state = self.lock();
        state.forget_ended(Instant::now());
        if let Some(entry) = state.requests.get(attempt.request()) {
            return Ok(Claim::Taken { fingerprint: entry.fingerprint.clone(), answer: entry.answer.clone() });
        }
        while state.requests.len() >= self.max_entries || state.bytes.saturating_add(ENTRY_BYTES) > self.max_bytes {
            if !state.forget_an_answer() {
                return Err(Full);
            }
        }
        let entry = Entry {
            fingerprint: attempt.fingerprint().to_owned(),
            token: attempt.token().to_owned(),
            end: Instant::now() + lease,
            answer: None,
        };
        state.insert(attempt.request().to_owned(), entry);
        Ok(Claim::Granted)
    }

    fn keep_now(&self, attempt: &Attempt, answer: &StoredAnswer) {
        let mut state = self.lock();
        let Some(entry) = state.remove_running(attempt) else { return };
        state.insert(
            attempt.request().to_owned(),
            Entry { answer: Some(answer.clone()), end: Instant::now() + self.ttl, ..entry },
        );
        while state.bytes > self.max_bytes && state.forget_an_answer() {}
    }
}

impl AnswerStore for MemoryStore {
    type Error = Full;

    async fn claim(&self, attempt: &Attempt, lease: Duration) -> Result<Claim, Full> {
        self.claim_now(attempt, lease)
    }

    async fn renew(&self, attempt: &Attempt, lease: Duration) -> Result<(), Full> {
        let mut state = self.lock();
        if let Some(entry) = state.remove_running(attempt) {
            state.insert(attempt.request().to_owned(), Entry { end: Instant::now() + lease, ..entry });
        }
        Ok(())
    }

    async fn keep(&self, attempt: &Attempt, answer: &StoredAnswer) -> Result<(), Full> {
        self.keep_now(attempt, answer);
        Ok(())
    }

    async fn release(&self, attempt: &Attempt) -> Result<(), Full> {
        let _freed = self.lock().remove_running(attempt);
        Ok(())
    }
}

impl State {
    fn insert(&mut self, request: String, entry: Entry) {
        self.bytes += size(&entry);
        self.ends.insert((entry.end, entry.token.clone()), request.clone());
        self.requests.insert(request, entry);
    }

    fn remove(&mut self, request: &str) -> Option<Entry> {
        let entry = self.requests.remove(request)?;
        self.ends.remove(&(entry.end, entry.token.clone()));
        self.bytes -= size(&entry);
        Some(entry)
    }

    /// The attempt's own entry, if it still has the claim.
    fn remove_running(&mut self, attempt: &Attempt) -> Option<Entry> {
        let entry = self.requests.get(attempt.request())?;
        if entry.token != attempt.token() || entry.answer.is_some() {
            return None;
        }
        self.remove(attempt.request())
    }

    fn forget_ended(&mut self, now: Instant) {
        while let Some(((end, _), request)) = self.ends.first_key_value()
            && *end <= now
        {
            let request = request.clone();
            self.remove(&request);
        }
    }

    /// Forgets the answer that would be forgotten first; false if there is none.
    fn forget_an_answer(&mut self) -> bool {
        let has_answer = |request: &&String| self.requests.get(*request).is_some_and(|entry| entry.answer.is_some());
        let Some(request) = self.ends.values().find(has_answer).cloned() else { return false };
        self.remove(&request).is_some()
    }
}

fn size(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.answer.as_ref().map_or(0, StoredAnswer::size)
}
