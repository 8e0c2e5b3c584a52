//! Calls to other services, by name, over HTTP.

mod error;
mod transport;

pub use error::CallError;
use error::Cause;
pub(crate) use transport::Transport;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Instrument;

use crate::extract::IDEMPOTENCY_KEY;
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

/// An answer that is a success (2xx). Its body is read by one of [`json`](Self::json), [`text`](Self::text) and
/// [`bytes`](Self::bytes).
#[derive(Debug)]
pub struct Answer {
    service: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Observed<Incoming>,
}

impl Client {
    pub(crate) fn new(service: impl Into<String>, transport: Transport) -> Self {
        Self { service: service.into(), prefix: String::new(), transport }
    }

    /// Calls whatever serves at a base URL, without a mesh: `http://127.0.0.1:8080/api/statistics`. For tools and tests; a
    /// service calls others by name. A URL that is none is told when a request is sent.
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
        self.header(IDEMPOTENCY_KEY, key)
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

    /// Sends it and waits for the head of the answer.
    ///
    /// # Errors
    /// All but [`CallError::Unexpected`]: any status but 2xx is a [`CallError::Problem`].
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

        let span = observe::http_client_span(call.span(), &method, &uri);
        call.inject(&span, &mut headers);
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;

        let response = match client.transport.http1().request(request).instrument(span.clone()).await {
            Ok(response) => response,
            Err(error) => {
                let unsent = error.is_connect();
                let source = Cause::from(error);
                let error = if unsent {
                    CallError::Unreachable { service, source }
                } else {
                    CallError::Broken { service, source }
                };
                observe::failed(&span, error.kind(), &samspill_observability::chain(&error).to_string());
                return Err(error);
            }
        };
        observe::http_answer_received(&span, response.status());
        let (parts, body) = response.into_parts();
        Ok(Answer { service, status: parts.status, headers: parts.headers, body: Observed::http(body, span) })
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
    /// [`CallError::Broken`], or [`CallError::Unexpected`] for another shape or more than 16 MiB.
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
    /// [`CallError::Broken`], or [`CallError::Unexpected`] for what is not UTF-8 or more than 16 MiB.
    pub async fn text(self) -> Result<String, CallError> {
        let service = self.service.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| CallError::Unexpected { service, source: error.into() })
    }

    /// The body.
    ///
    /// # Errors
    /// [`CallError::Broken`], or [`CallError::Unexpected`] for more than 16 MiB.
    pub async fn bytes(self) -> Result<Bytes, CallError> {
        let Self { service, body, .. } = self;
        match Limited::new(body, ANSWER_LIMIT_BYTES).collect().await {
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

    /// The error that an answer other than 2xx is.
    async fn refused(self) -> CallError {
        let status = self.status;
        match self.bytes().await {
            Ok(body) => CallError::Problem(Problem::from_answer(status, &body)),
            Err(_unreadable) => CallError::Problem(Problem::from(status)),
        }
    }
}
