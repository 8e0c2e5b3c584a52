//! [`AnswerStore`]: where answers are kept for repeats.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The headers that an answer is kept with: those that describe its body or say where the result is. Dates, cookies and
/// what belongs to one connection would be wrong in a repeat.
const KEPT: [HeaderName; 10] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
];

/// Where the answers of earlier requests are kept, and which requests are running.
///
/// [`MemoryStore`](super::MemoryStore) serves one process. A service with several instances, or with answers that must
/// outlive a restart, keeps them in its database. One row per request is enough; this one has a map in its place:
///
/// ```
/// use std::collections::HashMap;
/// use std::convert::Infallible;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// use samspill::idempotency::{AnswerStore, Attempt, Claim, Idempotency, StoredAnswer};
/// use tokio::time::Instant;
///
/// /// CREATE TABLE answers (request TEXT PRIMARY KEY, fingerprint TEXT, token TEXT, until TIMESTAMP, answer BLOB)
/// #[derive(Default)]
/// struct Table(Mutex<HashMap<String, Row>>);
///
/// struct Row { fingerprint: String, token: String, until: Instant, answer: Option<Vec<u8>> }
///
/// impl AnswerStore for Table {
///     type Error = Infallible; // sqlx::Error
///
///     // In one transaction: DELETE .. WHERE until < now; INSERT .. ON CONFLICT DO NOTHING; SELECT .. if nothing was inserted.
///     async fn claim(&self, attempt: &Attempt, lease: Duration) -> Result<Claim, Infallible> {
///         let mut rows = self.0.lock().unwrap();
///         rows.retain(|_, row| row.until > Instant::now());
///         if let Some(row) = rows.get(attempt.request()) {
///             let answer = row.answer.as_deref().and_then(|bytes| StoredAnswer::from_bytes(bytes).ok());
///             return Ok(Claim::Taken { fingerprint: row.fingerprint.clone(), answer });
///         }
///         let (fingerprint, token) = (attempt.fingerprint().to_owned(), attempt.token().to_owned());
///         let row = Row { fingerprint, token, until: Instant::now() + lease, answer: None };
///         rows.insert(attempt.request().to_owned(), row);
///         Ok(Claim::Granted)
///     }
///
///     // UPDATE .. SET until = now + lease WHERE request = .. AND token = .. AND answer IS NULL
///     async fn renew(&self, attempt: &Attempt, lease: Duration) -> Result<(), Infallible> {
///         if let Some(row) = self.0.lock().unwrap().get_mut(attempt.request()) {
///             if row.token == attempt.token() { row.until = Instant::now() + lease; }
///         }
///         Ok(())
///     }
///
///     // UPDATE .. SET answer = .., until = now + 24 h WHERE request = .. AND token = ..
///     async fn keep(&self, attempt: &Attempt, answer: &StoredAnswer) -> Result<(), Infallible> {
///         if let Some(row) = self.0.lock().unwrap().get_mut(attempt.request()) {
///             if row.token == attempt.token() {
///                 row.answer = Some(answer.to_bytes());
///                 row.until = Instant::now() + Duration::from_secs(24 * 60 * 60);
///             }
///         }
///         Ok(())
///     }
///
///     // DELETE .. WHERE request = .. AND token = .. AND answer IS NULL
///     async fn release(&self, attempt: &Attempt) -> Result<(), Infallible> {
///         self.0.lock().unwrap().retain(|request, row| request != attempt.request() || row.token != attempt.token());
///         Ok(())
///     }
/// }
///
/// let layer = Idempotency::new(Table::default());
/// ```
///
/// An error of [`claim`](Self::claim) is a 503 for the caller: nothing is run without a claim. Other errors are logged.
pub trait AnswerStore: Send + Sync + 'static {
    /// Why the store cannot be used.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes a request for this attempt until the lease ends, unless it is taken already. Of two at the same time one is
    /// granted. A lease that has ended, or an answer that has become too old, is as if it had never been.
    fn claim(&self, attempt: &Attempt, lease: Duration) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Lets the lease begin anew, if the attempt still has the claim.
    fn renew(&self, attempt: &Attempt, lease: Duration) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Keeps the answer for repeats, if the attempt still has the claim. For how long is the store's affair; a day is
    /// common.
    fn keep(&self, attempt: &Attempt, answer: &StoredAnswer) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Frees the request, if the attempt still has the claim and kept no answer.
    fn release(&self, attempt: &Attempt) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// One store for several routes.
impl<S: AnswerStore> AnswerStore for Arc<S> {
    type Error = S::Error;

    fn claim(&self, attempt: &Attempt, lease: Duration) -> impl Future<Output = Result<Claim, S::Error>> + Send {
        self.as_ref().claim(attempt, lease)
    }

    fn renew(&self, attempt: &Attempt, lease: Duration) -> impl Future<Output = Result<(), S::Error>> + Send {
        self.as_ref().renew(attempt, lease)
    }

    fn keep(&self, attempt: &Attempt, answer: &StoredAnswer) -> impl Future<Output = Result<(), S::Error>> + Send {
        self.as_ref().keep(attempt, answer)
    }

    fn release(&self, attempt: &Attempt) -> impl Future<Output = Result<(), S::Error>> + Send {
        self.as_ref().release(attempt)
    }
}

/// What became of an attempt to claim a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The attempt has it, and runs it.
    Granted,
    /// Another one has it.
    Taken {
        /// What that one sent.
        fingerprint: String,
        /// What it was answered; none while it is running.
        answer: Option<StoredAnswer>,
    },
}

/// One attempt to run a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    request: String,
    fingerprint: String,
    token: String,
}

impl Attempt {
    /// `whose` is the caller, the method, the path and the key.
    pub(super) fn new(whose: [&str; 5], query: &str, body: &[u8]) -> Self {
        Self {
            request: digest(whose.map(str::as_bytes)),
            fingerprint: digest([query.as_bytes(), body]),
            token: format!("{:032x}", rand::random::<u128>()),
        }
    }

    /// Which request it is: the same for the same caller, method, path and key. 64 hexadecimal digits.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// What it says: the same for the same query and body. 64 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Which attempt it is: no other has the same. 32 hexadecimal digits.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// The SHA-256 of several texts, each with its length before it: where one ends is part of it.
fn digest<const N: usize>(texts: [&[u8]; N]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    format!("{:x}", hash.finalize())
}

/// An answer that is kept for repeats: its status, some of its headers, and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The bytes are no stored answer.
#[derive(Debug, thiserror::Error)]
#[error("this is not a stored answer")]
pub struct MalformedAnswer {
    source: Option<serde_json::Error>,
}

/// What stands before the body in the bytes of an answer.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl StoredAnswer {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let kept = headers.iter().filter(|(name, value)| KEPT.contains(name) && value.to_str().is_ok());
        Self { status, headers: kept.map(|(name, value)| (name.clone(), value.clone())).collect(), body }
    }

    pub(super) fn into_parts(self) -> (StatusCode, HeaderMap, Bytes) {
        (self.status, self.headers, self.body)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The size that counts for a store's limits, in bytes.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        headers.sum::<usize>() + self.body.len()
    }

    /// The answer as bytes, for a column of a database.
    ///
    /// One line of JSON with status and headers, then the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let head = Head { status: self.status.as_u16(), headers };
        let mut bytes = serde_json::to_vec(&head).expect("because numbers and texts are always JSON");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The answer that [`to_bytes`](Self::to_bytes) was asked for.
    ///
    /// ```
    /// assert!(samspill::idempotency::StoredAnswer::from_bytes(b"something else").is_err());
    /// ```
    ///
    /// # Errors
    /// [`MalformedAnswer`], for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedAnswer> {
        let malformed = || MalformedAnswer { source: None };
        let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(malformed)?;
        let (head, body) = bytes.split_at(end);
        let head: Head = serde_json::from_slice(head).map_err(|error| MalformedAnswer { source: Some(error) })?;
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(malformed());
            };
            headers.append(name, value);
        }
        let status = StatusCode::from_u16(head.status).ok().ok_or_else(malformed)?;
        Ok(Self { status, headers, body: Bytes::copy_from_slice(body.get(1..).unwrap_or_default()) })
    }
}
