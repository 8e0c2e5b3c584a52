//! Server-sent events: an answer that goes on, one event after the other (WHATWG HTML §9.2).
//!
//! ```
//! use axum::{Router, routing::get};
//! use futures_util::{StreamExt, stream};
//! use samspill::events::{Event, Events, LastEventId};
//! use samspill::{Call, test};
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! struct Scan { place: String }
//!
//! /// Begins after the event that the caller has seen last.
//! async fn scans(call: Call, LastEventId(seen): LastEventId<usize>) -> Events<Scan> {
//!     let places = ["Oslo", "Ålesund", "Bergen"].into_iter().enumerate().skip(seen.map_or(0, |seen| seen + 1));
//!     let events = places.map(|(number, place)| Event::new(Scan { place: place.to_owned() }).with_id(number));
//!     Events::new(&call, stream::iter(events))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let router = Router::new().route("/v1/scans", get(scans));
//! let server = test::Server::start(test::service("parcel-tracking", []), router).await;
//! let client = server.client();
//! let answer = client.get(&test::call(), "/v1/scans").header("last-event-id", "1").send().await.unwrap();
//! let mut events = answer.events::<Scan>();
//! let event = events.next().await.unwrap().unwrap();
//! assert_eq!((event.data.place.as_str(), event.id.as_deref()), ("Bergen", Some("2")));
//! assert!(events.next().await.is_none());
//! # server.stop().await;
//! # });
//! ```
//!
//! Such an answer ends when the service drains, and when a connection breaks. A caller that wants the rest asks again, and
//! says in `Last-Event-ID` which event it has seen last.

mod parse;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Call, CallError, Problem};
use parse::{Message, Parser};

/// How long nothing is said before a comment is sent, so that nobody on the way takes the connection for dead. The
/// standard's own advice.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A comment, which every reader passes over.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

const MEDIA_TYPE: &str = "text/event-stream";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One event. Its data is JSON on the wire.
///
/// ```
/// use samspill::events::Event;
///
/// let event = Event::new("Oslo").with_id(7).with_kind("scan");
/// assert_eq!((event.data, event.id.as_deref(), event.kind.as_deref()), ("Oslo", Some("7"), Some("scan")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<T> {
    /// What happened.
    pub data: T,
    /// Where a caller that comes back goes on; as received, that of the last event that had one.
    pub id: Option<String>,
    /// What kind of event it is, where a stream has several; a browser calls one without a kind `message`.
    pub kind: Option<String>,
}

impl<T> Event<T> {
    /// An event without id and kind.
    pub fn new(data: T) -> Self {
        Self { data, id: None, kind: None }
    }

    /// The same, with an id: a text of one line.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a number is written as such, not as a reference to one")]
    pub fn with_id(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// The same, with a kind: a text of one line.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }
}

/// An answer of events. See the [module](self).
pub struct Events<T>(BoxStream<'static, Event<T>>);

impl<T: 'static> Events<T> {
    /// An answer that ends with `events`, or when the service drains.
    ///
    /// While nothing happens, a comment is sent every 15 s. An event that cannot be written (its data is no JSON, its id
    /// or kind has more than one line) breaks the answer off, and the log says why.
    pub fn new(call: &Call, events: impl Stream<Item = Event<T>> + Send + 'static) -> Self {
        let call = call.clone();
        Self(events.take_until(Box::pin(async move { call.draining().await })).boxed())
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").finish_non_exhaustive()
    }
}

impl<T: Serialize + 'static> IntoResponse for Events<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, MEDIA_TYPE),
            (header::CACHE_CONTROL, "no-cache"),
            // nginx would wait for more.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::from_stream(written(self.0))).into_response()
    }
}

/// The events as they are on the wire.
fn written<T: Serialize + 'static>(
    events: BoxStream<'static, Event<T>>,
) -> impl Stream<Item = Result<Bytes, UnwritableEvent>> + Send {
    stream::unfold(Some(events), async |events| {
        let mut events = events?;
        match tokio::time::timeout(KEEP_ALIVE, events.next()).await {
            Err(_elapsed) => Some((Ok(COMMENT), Some(events))),
            Ok(event) => match write(&event?) {
                Ok(bytes) => Some((Ok(bytes), Some(events))),
                Err(error) => {
                    tracing::error!(error = %samspill_observability::chain(&error), "a stream of events breaks off");
                    Some((Err(error), None))
                }
            },
        }
    })
}

/// Why an event cannot be written.
#[derive(Debug, thiserror::Error)]
enum UnwritableEvent {
    #[error("an event's data cannot be written as JSON")]
    Data(#[source] serde_json::Error),
    #[error("an event's id has a line end or a NUL")]
    Id,
    #[error("an event's kind has a line end")]
    Kind,
}

fn write<T: Serialize>(event: &Event<T>) -> Result<Bytes, UnwritableEvent> {
    let mut text = String::new();
    if let Some(id) = &event.id {
        if id.contains(['\r', '\n', '\0']) {
            return Err(UnwritableEvent::Id);
        }
        text.extend(["id: ", id, "\n"]);
    }
    if let Some(kind) = &event.kind {
        if kind.contains(['\r', '\n']) {
            return Err(UnwritableEvent::Kind);
        }
        text.extend(["event: ", kind, "\n"]);
    }
    // JSON without layout has no line ends.
    let data = serde_json::to_string(&event.data).map_err(UnwritableEvent::Data)?;
    text.extend(["data: ", &data, "\n\n"]);
    Ok(Bytes::from(text))
}

/// The id of the event that the caller has seen last (`Last-Event-ID`), as any type that a text is parsed into; none for a
/// caller that comes for the first time. A 400 that names the header for what is no such id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastEventId<T = String>(pub Option<T>);

impl<T, S> FromRequestParts<S> for LastEventId<T>
where
    T: FromStr<Err: fmt::Display>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        last_event_id(&parts.headers).map(Self)
    }
}

fn last_event_id<T: FromStr<Err: fmt::Display>>(headers: &HeaderMap) -> Result<Option<T>, Problem> {
    let malformed = |detail: &str| {
        Problem::new(StatusCode::BAD_REQUEST, "The last event's id is not as expected").field("Last-Event-ID", detail)
    };
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("must be there once"));
    }
    let text = str::from_utf8(value.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    // No id at all: what a browser has seen if the last event had none.
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| malformed(&error.to_string()))
}

/// The events of an answer. An error is the last item.
pub(crate) fn received<T, C>(
    service: String,
    headers: &HeaderMap,
    chunks: C,
) -> impl Stream<Item = Result<Event<T>, CallError>> + Send + use<T, C>
where
    T: DeserializeOwned,
    C: Stream<Item = Result<Bytes, CallError>> + Send,
{
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let reader = if kind.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        Ok(Reader { service, chunks: Box::pin(chunks), parser: Parser::default() })
    } else {
        Err(CallError::Unexpected { service, source: format!("its answer is not `{MEDIA_TYPE}`").into() })
    };
    stream::unfold(Some(reader), async |reader| {
        let mut reader = match reader? {
            Ok(reader) => reader,
            Err(error) => return Some((Err(error), None)),
        };
        match reader.next().await? {
            Ok(event) => Some((Ok(event), Some(Ok(reader)))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Reader<C> {
    service: String,
    chunks: C,
    parser: Parser,
}

impl<C: Stream<Item = Result<Bytes, CallError>> + Unpin> Reader<C> {
    async fn next<T: DeserializeOwned>(&mut self) -> Option<Result<Event<T>, CallError>> {
        loop {
            if let Some(message) = self.parser.next() {
                return Some(event(message).map_err(|error| self.unexpected(error)));
            }
            // What the end of the stream cuts off is no event.
            let fed = match self.chunks.next().await? {
                Ok(chunk) => self.parser.feed(&chunk).map_err(|error| self.unexpected(error)),
                Err(error) => Err(error),
            };
            if let Err(error) = fed {
                return Some(Err(error));
            }
        }
    }

    fn unexpected(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
        CallError::Unexpected { service: self.service.clone(), source: error.into() }
    }
}

fn event<T: DeserializeOwned>(message: Message) -> Result<Event<T>, Box<dyn std::error::Error + Send + Sync>> {
    let mut deserializer = serde_json::Deserializer::from_str(&message.data);
    let data = serde_path_to_error::deserialize(&mut deserializer)?;
    deserializer.end()?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Event { data, id: some(message.id), kind: some(message.kind) })
}

#[cfg(test)]
mod tests;
