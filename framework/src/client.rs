//! Calls to other services, by name, over HTTP.

mod error;
mod transport;

pub use error::CallError;
use error::Cause;
pub(crate) use transport::Transport;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{self, Protocol};
use crate::events::{self, Event};
use crate::idempotency;
use crate::observe::{self, Observed};
use crate::{Call, Problem};

/// More than this of an answer is refused, so that no service can fill another's memory. In bytes; eight times what
/// our own server takes in.
const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Calls one service by its name. Cheap to clone; all clients of a [`Service`](crate::Service) share its connections.
///
/// In a mesh the sidecar finds, balances and proves the service; without one the name is asked of the DNS.
///
/// ```
/// use samspill::{Call, CallError, Client};
///
/// #[derive(serde::Serialize)]
/// struct Ask { from: &'static str, to: &'static str, grams: u32 }
///
/// #[derive(serde::Deserialize)]
/// struct Quote { cents: u64 }
///
/// async fn quote(calculator: &Client, call: &Call) -> Result<Quote, CallError> {
///     let ask = Ask { from: "NO", to: "SE", grams: 2500 };
///     calculator.post(call, "/v2/quotes").json(&ask).send().await?.json().await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    service: String,
    /// What stands before every path.
    prefix: String,
    transport: Transport,
}

/// A request that is being written; [`send`](Self::send) sends it.
///
/// ```
/// use axum::extract::RawQuery;
/// use axum::{Router, routing::put};
/// use http::HeaderMap;
/// use samspill::extract::Json;
/// use samspill::test;
///
/// async fn echo(headers: HeaderMap, RawQuery(query): RawQuery, Json(cents): Json<u64>) -> String {
///     format!("{query:?} {:?} {cents}", headers["if-match"])
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = test::Server::start(test::service("invoicing", []), Router::new().route("/v1/echo", put(echo))).await;
/// let (client, call) = (server.client(), test::call());
/// let request = client.put(&call, "/v1/echo").query(&[("to", "Å")]).header("if-match", "7").json(&14_400);
/// let answer = request.send().await.unwrap();
/// assert_eq!(answer.text().await.unwrap(), r#"Some("to=%C3%85") "7" 14400"#);
/// # server.stop().await;
/// # });
/// ```
#[derive(Debug)]
#[must_use = "it is not sent until `send` is awaited"]
pub struct ClientRequest {
    call: Call,
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// The first thing that was wrong with it.
    mistake: Option<Cause>,
}

/// An answer that is a success (2xx). Its body is read by one of [`json`](Self::json), [`text`](Self::text),
/// [`bytes`](Self::bytes), [`chunks`](Self::chunks) and [`events`](Self::events).
///
/// ```
/// use samspill::{Answer, CallError};
///
/// async fn name(answer: Answer) -> Result<String, CallError> {
///     match answer.headers().get("content-disposition") {
///         Some(_file) => Ok(format!("a file of {} bytes", answer.bytes().await?.len())),
///         None => answer.text().await,
///     }
/// }
/// # let _ = name;
/// ```
#[derive(Debug)]
pub struct Answer {
    service: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Observed<Incoming>,
    /// The call's; the body is given up then.
    deadline: Option<Instant>,
}

impl Client {
    pub(crate) fn new(service: impl Into<String>, transport: Transport) -> Self {
        Self { service: service.into(), prefix: String::new(), transport }
    }

    /// Calls whatever serves at a base URL, without a mesh: `http://127.0.0.1:8080/api/statistics`. For tools and tests; a
    /// service calls others by name. A URL that is none is told when a request is sent.
    ///
    /// ```
    /// use samspill::{CallError, Client, test};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let client = Client::at("http://127.0.0.1:1/api/statistics");
    /// let error = client.get(&test::call(), "/v1/counts").send().await.unwrap_err();
    /// assert!(matches!(error, CallError::Unreachable { .. }));
    /// # });
    /// ```
    pub fn at(base_url: &str) -> Self {
        let rest = base_url.strip_prefix("http://").unwrap_or(base_url).trim_end_matches('/');
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self { service: authority.to_owned(), prefix: prefix.to_owned(), transport: Transport::new(None) }
    }

    /// Begins a GET. `path` starts with a slash and may have a query.
    pub fn get(&self, call: &Call, path: impl Into<String>) -> ClientRequest {
        self.request(call, Method::GET, path)
    }

    /// Begins a POST.
    pub fn post(&self, call: &Call, path: impl Into<String>) -> ClientRequest {
        self.request(call, Method::POST, path)
    }

    /// Begins a PUT.
    pub fn put(&self, call: &Call, path: impl Into<String>) -> ClientRequest {
        self.request(call, Method::PUT, path)
    }

    /// Begins a DELETE.
    pub fn delete(&self, call: &Call, path: impl Into<String>) -> ClientRequest {
        self.request(call, Method::DELETE, path)
    }

    /// Begins a request with any method.
    pub fn request(&self, call: &Call, method: Method, path: impl Into<String>) -> ClientRequest {
        ClientRequest {
            call: call.clone(),
            client: self.clone(),
            method,
            path: format!("{}{}", self.prefix, path.into()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            mistake: None,
        }
    }
}

impl ClientRequest {
    /// Sets a header, in place of one of the same name.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<Cause>>,
        V: TryInto<HeaderValue, Error: Into<Cause>>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            (Err(error), _) => self.mistake(error),
            (_, Err(error)) => self.mistake(error),
        }
        self
    }

    /// Adds parameters to the query: a struct, or pairs.
    pub fn query(mut self, parameters: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(parameters) {
            Ok(query) if query.is_empty() => {}
            Ok(query) => {
                self.path.push(if self.path.contains('?') { '&' } else { '?' });
                self.path.push_str(&query);
            }
            Err(error) => self.mistake(error),
        }
        self
    }

    /// Sends a value as JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.body = body.into();
                self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Err(error) => self.mistake(error),
        }
        self
    }

    /// Sends a value as an HTML form does.
    pub fn form(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(value) {
            Ok(body) => {
                self.body = body.into();
                let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.headers.insert(header::CONTENT_TYPE, media_type);
            }
            Err(error) => self.mistake(error),
        }
        self
    }

    /// Sends an `Idempotency-Key`, with which a repeat of the request is recognised.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(idempotency::KEY, key)
    }

    /// Fills the path's `{parameters}`: from a struct by name, from a tuple or a single value in their order.
    pub(crate) fn path_parameters(mut self, parameters: &(impl Serialize + ?Sized)) -> Self {
        match fill(&self.path, parameters) {
            Ok(path) => self.path = path,
            Err(error) => self.mistake(error),
        }
        self
    }

    /// Sends bytes; say what they are with a `content-type` header.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    fn mistake(&mut self, error: impl Into<Cause>) {
        self.mistake.get_or_insert_with(|| error.into());
    }

    /// Sends it, with what is left of the call's deadline, and waits for the head of the answer.
    ///
    /// # Errors
    /// [`CallError::Deadline`] at the deadline; after it nothing is even sent. All others but [`CallError::Unexpected`]: any status but 2xx is a [`CallError::Problem`].
    pub async fn send(self) -> Result<Answer, CallError> {
        let answer = self.send_any().await?;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.refused().await) }
    }

    /// As [`send`](Self::send), but any status is an answer.
    pub(crate) async fn send_any(self) -> Result<Answer, CallError> {
        let Self { call, client, method, path, mut headers, body, mistake } = self;
        let service = client.service;
        let malformed = |source: Cause| CallError::Request { service: service.clone(), source };
        if let Some(mistake) = mistake {
            return Err(malformed(mistake));
        }
        let uri = uri(&service, &path).map_err(malformed)?;
        let deadline = call.deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(CallError::Deadline { service });
        }

        let span = observe::http_client_span(call.span(), &method, &uri);
        call.inject(&span, deadline, Protocol::Http, &mut headers);
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;

        let answered = tokio::select! {
            biased;
            answered = call.inside(&span, client.transport.http1().request(request)) => answered,
            () = call::passed(deadline) => {
                let error = CallError::Deadline { service };
                observe::failed(&span, error.kind(), &error);
                return Err(error);
            }
        };
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                let unsent = error.is_connect();
                let source = Cause::from(error);
                let error = if unsent {
                    CallError::Unreachable { service, source }
                } else {
                    CallError::Broken { service, source }
                };
                observe::failed(&span, error.kind(), &samspill_observability::chain(&error));
                return Err(error);
            }
        };
        observe::http_answer_received(&span, response.status());
        let (parts, body) = response.into_parts();
        let body = Observed::http(body, span);
        Ok(Answer { service, status: parts.status, headers: parts.headers, body, deadline })
    }
}

/// What must be written as `%XX` in a path's segment (RFC 3986 §3.3).
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// A path with its parameters.
fn fill(path: &str, parameters: &(impl Serialize + ?Sized)) -> Result<String, Cause> {
    let value = serde_json::to_value(parameters)?;
    let mut position = 0;
    let mut filled = Vec::new();
    for segment in path.split('/') {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            filled.push(segment.to_owned());
            continue;
        };
        let parameter = match &value {
            Value::Object(members) => members.get(name),
            Value::Array(items) => items.get(position),
            single => (position == 0).then_some(single),
        };
        let text = match parameter {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            other => return Err(format!("`{name}` of the path is {other:?}").into()),
        };
        if matches!(text.as_str(), "" | "." | "..") {
            return Err(format!("`{name}` of the path cannot be {text:?}").into());
        }
        filled.push(utf8_percent_encode(&text, SEGMENT).to_string());
        position += 1;
    }
    Ok(filled.join("/"))
}

/// `http://<service><path>`: the name goes into `Host`, where the sidecar looks for it.
fn uri(service: &str, path: &str) -> Result<Uri, Cause> {
    let authority: Authority = service.parse()?;
    let path: PathAndQuery = path.parse()?;
    if !path.path().starts_with('/') {
        return Err(format!("the path `{path}` does not start with a slash").into());
    }
    Ok(Uri::builder().scheme("http").authority(authority).path_and_query(path).build()?)
}

impl Answer {
    /// The status, 200 to 299.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, as JSON.
    ///
    /// # Errors
    /// [`CallError::Broken`], [`CallError::Deadline`], or [`CallError::Unexpected`] for another shape or more than 16 MiB.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let service = self.service.clone();
        let bytes = self.bytes().await?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| CallError::Unexpected { service, source: error.into() })
    }

    /// The body, as text.
    ///
    /// # Errors
    /// [`CallError::Broken`], [`CallError::Deadline`], or [`CallError::Unexpected`] for what is not UTF-8 or more than 16 MiB.
    pub async fn text(self) -> Result<String, CallError> {
        let service = self.service.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| CallError::Unexpected { service, source: error.into() })
    }

    /// The body.
    ///
    /// # Errors
    /// [`CallError::Broken`], [`CallError::Deadline`], or [`CallError::Unexpected`] for more than 16 MiB.
    pub async fn bytes(self) -> Result<Bytes, CallError> {
        let Self { service, body, deadline, .. } = self;
        let collected = tokio::select! {
            biased;
            collected = Limited::new(body, ANSWER_LIMIT_BYTES).collect() => collected,
            () = call::passed(deadline) => return Err(CallError::Deadline { service }),
        };
        match collected {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(source) if source.is::<http_body_util::LengthLimitError>() => {
                Err(CallError::Unexpected { service, source })
            }
            Err(source) => Err(CallError::Broken { service, source }),
        }
    }

    /// Status, headers and body.
    pub(crate) async fn whole(self) -> Result<(StatusCode, HeaderMap, Bytes), CallError> {
        let (status, headers) = (self.status, self.headers.clone());
        Ok((status, headers, self.bytes().await?))
    }

    /// The body, piece by piece as it comes: for what is larger than memory, or has no end.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use samspill::{Answer, CallError};
    ///
    /// async fn count(answer: Answer) -> Result<usize, CallError> {
    ///     let (mut bytes, mut chunks) = (0, answer.chunks());
    ///     while let Some(chunk) = chunks.next().await {
    ///         bytes += chunk?.len();
    ///     }
    ///     Ok(bytes)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`CallError::Broken`] is the last item if the connection breaks.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes, CallError>> + Send + Unpin {
        let Self { service, body, .. } = self;
        let broken = move |source| CallError::Broken { service: service.clone(), source };
        body.into_data_stream().map_err(move |error| broken(error.into()))
    }

    /// The body as [events], one by one as they come.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use samspill::{Answer, CallError};
    ///
    /// async fn last(answer: Answer) -> Result<Option<u64>, CallError> {
    ///     let (mut last, mut events) = (None, answer.events::<u64>());
    ///     while let Some(event) = events.next().await {
    ///         last = Some(event?.data);
    ///     }
    ///     Ok(last)
    /// }
    /// ```
    ///
    /// # Errors
    /// The last item is [`CallError::Broken`] if the connection breaks, [`CallError::Unexpected`] if the answer is no
    /// event stream, an event's data has another shape, or an event has more than 1 MiB.
    pub fn events<T: DeserializeOwned>(self) -> impl Stream<Item = Result<Event<T>, CallError>> + Send + Unpin {
        let (service, headers) = (self.service.clone(), self.headers.clone());
        Box::pin(events::received(service, &headers, self.chunks()))
    }

    /// The error that an answer other than 2xx is.
    async fn refused(self) -> CallError {
        let status = self.status;
        match self.bytes().await {
            Ok(body) => CallError::Problem(Problem::from_answer(status, &body)),
            Err(late @ CallError::Deadline { .. }) => late,
            Err(_unreadable) => CallError::Problem(Problem::from(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use samspill_net::Listener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_given_up_at_the_deadline() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let client = crate::test::service("test", []).client(listener.local_addr().to_string());
        let half_an_answer = async || {
            let (mut stream, _peer) = listener.accept().await;
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
            stream
        };
        for is_success in [true, false] {
            let call = crate::test::call();
            let (answer, _stream) = tokio::join!(client.get(&call, "/").send(), half_an_answer());
            let mut answer = answer.unwrap();
            answer.deadline = Some(Instant::now());
            let error = if is_success { answer.text().await.unwrap_err() } else { answer.refused().await };
            assert!(matches!(error, CallError::Deadline { .. }), "{error:?}");
        }
    }
}
