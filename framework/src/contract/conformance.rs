//! [`Conformance`]: does whatever serves there keep the contract?
//!
//! It asks over HTTP and knows nothing of the implementation, which may be in any language.

use std::fmt;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde_json::Value;

use super::Contract;
use super::api::{Api, Operation};
use super::openapi::Dialect;
use super::schema::Schemas;
use super::versions::{self, API_VERSION, DEPRECATION, SUNSET};
use crate::client::Client;
use crate::{CallError, ClientRequest, Problem, test};

/// The result of trying a contract on a running service.
///
/// The suite sends each operation a request that fits, several that do not, and versions that are not there, and compares
/// every answer with the document: status, media type, shape, deprecation headers. It writes what the API lets it write,
/// so run it against an instance of its own. What an operation *means* only its author knows: add it with
/// [`check`](Self::check).
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     /// How often each thing happened.
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // Whatever serves there, in whatever language.
/// let mock = MockStatistics::new().with_counts(|_call| Ok(Json(vec![7])));
/// let server = samspill::test::Server::start(samspill::Service::new("statistics"), StatisticsApi::router(mock)).await;
/// let client = StatisticsClient::from(server.client());
///
/// let scenario = async {
///     let counts = client.counts(&samspill::test::call()).await?;
///     if counts == [7] { Ok(()) } else { Err(Problem::new(http::StatusCode::CONFLICT, "It counts otherwise")) }
/// };
/// let conformance = StatisticsApi::conformance(&server.url("")).await.check("it counts to 7", scenario).await;
/// conformance.assert_kept();
/// # server.stop().await;
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use = "ask it whether all checks have passed"]
pub struct Conformance {
    api: &'static str,
    checks: Vec<Check>,
}

/// One thing that was tried.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// # #[samspill::api(name = "statistics", versions = 1..=1)]
/// # pub trait Statistics {
/// #     #[get("/counts")]
/// #     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// # }
/// use samspill::contract::Check;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // Nobody serves there, so nothing is as it should be.
/// let conformance = StatisticsApi::conformance("http://127.0.0.1:1").await;
/// let failed: Vec<&Check> = conformance.checks().iter().filter(|check| check.failure.is_some()).collect();
/// assert!(!conformance.is_kept() && failed.iter().any(|check| check.name.contains("counts")));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub name: String,
    /// What was wrong, if anything was.
    pub failure: Option<String>,
}

impl Conformance {
    #[doc(hidden)]
    pub async fn of<C: Contract>(base_url: &str) -> Self {
        let api = C::api();
        let mut suite = Suite { api, client: Client::at(base_url), checks: Vec::new() };
        for version in api.versions() {
            suite.version(version).await;
        }
        Self { api: api.name(), checks: suite.checks }
    }

    /// Adds a scenario of your own: what the operations mean together.
    pub async fn check<E: fmt::Display>(
        mut self,
        name: impl Into<String>,
        scenario: impl Future<Output = Result<(), E>>,
    ) -> Self {
        let failure = scenario.await.err().map(|error| error.to_string());
        self.checks.push(Check { name: name.into(), failure });
        self
    }

    /// Everything that was tried.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.checks.iter().all(|check| check.failure.is_none())
    }

    /// Ends a test that found something wrong.
    ///
    /// # Panics
    /// A check has failed; the message lists all that have.
    #[track_caller]
    pub fn assert_kept(&self) {
        assert!(self.is_kept(), "{self}");
    }
}

/// The failed checks, and how many there were.
impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: Vec<_> =
            self.checks.iter().filter_map(|check| Some((&check.name, check.failure.as_ref()?))).collect();
        write!(
            f,
            "contract `{}`: {} of {} checks passed",
            self.api,
            self.checks.len() - failed.len(),
            self.checks.len()
        )?;
        for (name, failure) in failed {
            write!(f, "\n  {name}: {failure}")?;
        }
        Ok(())
    }
}

/// The suite while it runs.
struct Suite {
    api: &'static Api,
    client: Client,
    checks: Vec<Check>,
}

/// Any answer, whole.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Suite {
    async fn version(&mut self, version: u32) {
        let Some(document) = self.api.openapi(version, Dialect::V3_0) else { return };
        let document = document.as_json();
        // Of operations that need nothing to be there already.
        let mut successes = Vec::new();
        for operation in self.api.operations().iter().filter(|operation| operation.is_in(version)) {
            let path = versions::path(version, operation.path);
            let described = &document["paths"][&path][operation.method.as_str().to_ascii_lowercase()];
            let sample = Sample::of(operation, described, document);
            let succeeded = self.fits(version, operation, &sample, described, document).await;
            if !operation.path.contains('{') {
                successes.push(succeeded);
            }
            self.by_header(version, operation, &sample, described, document).await;
            if sample.body.is_some() {
                self.bad_bodies(version, operation, &sample).await;
            }
            // Once for an operation, not once for each of its versions.
            if version == operation.until {
                self.unknown_versions(operation, &sample).await;
            }
            self.wrong_method(version, operation, &sample, &document["paths"][&path]).await;
        }
        // Who refuses everything, in good order, would keep all the rest.
        if !successes.is_empty() {
            let outcome = if successes.contains(&true) { Ok(()) } else { Err("each one was refused".to_owned()) };
            self.note(format!("an operation of v{version} that needs nothing to be there succeeds"), outcome);
        }
    }

    fn note(&mut self, name: String, outcome: Result<(), String>) {
        self.checks.push(Check { name, failure: outcome.err() });
    }

    /// Whether it was a success; a refusal that the document names fits as well.
    async fn fits(
        &mut self,
        version: u32,
        operation: &Operation,
        sample: &Sample,
        described: &Value,
        document: &Value,
    ) -> bool {
        let path = versions::path(version, &sample.path);
        let name = format!("{} {path} answers as its document says", operation.method);
        let (succeeded, outcome) = match send(sample.request(&self.client, &path)).await {
            Ok(reply) => {
                let fits = reply.fits(described, document).and_then(|()| self.is_noticed(version, &reply));
                (reply.status.is_success(), fits)
            }
            Err(error) => (false, Err(error)),
        };
        self.note(name, outcome);
        succeeded
    }

    /// A deprecated version says so in every answer.
    fn is_noticed(&self, version: u32, reply: &Reply) -> Result<(), String> {
        let Some(deprecation) = self.api.deprecation(version) else {
            return match reply.header(&DEPRECATION) {
                None => Ok(()),
                Some(value) => Err(format!("it answers `{DEPRECATION}: {value}`, and v{version} is not deprecated")),
            };
        };
        reply.says(&DEPRECATION, &format!("@{}", deprecation.since.1))?;
        if let Some((_, sunset)) = deprecation.sunset {
            reply.says(&SUNSET, &versions::http_date(sunset))?;
        }
        reply.links("deprecation")?;
        reply.links("successor-version")
    }

    async fn by_header(
        &mut self,
        version: u32,
        operation: &Operation,
        sample: &Sample,
        described: &Value,
        document: &Value,
    ) {
        let name = format!("{} {} takes `api-version: {version}`", operation.method, sample.path);
        let request = sample.request(&self.client, &sample.path).header(API_VERSION, version.to_string());
        let outcome = send(request).await.and_then(|reply| {
            reply.fits(described, document)?;
            reply.varies()?;
            reply.says(&API_VERSION, &version.to_string())?;
            self.is_noticed(version, &reply)
        });
        self.note(name, outcome);
    }

    /// One that is not there, in the path and in the header, and none.
    async fn unknown_versions(&mut self, operation: &Operation, sample: &Sample) {
        let (method, missing) = (&operation.method, self.api.newest + 1);
        let path = versions::path(missing, &sample.path);
        let outcome = send(sample.request(&self.client, &path)).await;
        let outcome = outcome.and_then(|reply| reply.is_unsupported(StatusCode::NOT_FOUND));
        self.note(format!("{method} {path} is refused"), outcome);

        let request = sample.request(&self.client, &sample.path).header(API_VERSION, missing.to_string());
        let outcome = send(request).await.and_then(|reply| reply.is_unsupported(StatusCode::NOT_ACCEPTABLE));
        self.note(format!("{method} {} refuses `{API_VERSION}: {missing}`", sample.path), outcome);

        // Without a version an ordinary route may have the root.
        if sample.path != "/" {
            let outcome = send(sample.request(&self.client, &sample.path)).await;
            let outcome = outcome.and_then(|reply| reply.is_unsupported(StatusCode::BAD_REQUEST));
            self.note(format!("{method} {} asks for a version", sample.path), outcome);
        }
    }

    async fn bad_bodies(&mut self, version: u32, operation: &Operation, sample: &Sample) {
        let path = versions::path(version, &sample.path);
        for (what, media_type, body, expected) in [
            ("half a body", "application/json", "{", &[400][..]),
            ("a text for an object", "application/json", "\"a\"", &[400, 422]),
            ("another media type", "text/plain", "{}", &[415]),
        ] {
            if what == "a text for an object" && !sample.body.as_ref().is_some_and(Value::is_object) {
                continue;
            }
            let name = format!("{} {path} refuses {what}", operation.method);
            let request = sample.request(&self.client, &path).header(header::CONTENT_TYPE, media_type).body(body);
            let outcome = send(request).await.and_then(|reply| {
                reply.is_problem(expected)?;
                self.is_noticed(version, &reply)
            });
            self.note(name, outcome);
        }
    }

    async fn wrong_method(&mut self, version: u32, operation: &Operation, sample: &Sample, item: &Value) {
        let path = versions::path(version, &sample.path);
        let verbs = [Method::DELETE, Method::PUT, Method::PATCH, Method::POST, Method::GET];
        let absent = verbs.into_iter().find(|verb| item[verb.as_str().to_ascii_lowercase()].is_null());
        let Some(method) = absent.filter(|_| operation.is_in(version)) else { return };
        let name = format!("{method} {path} is no operation");
        let outcome = send(self.client.request(&test::call(), method, path)).await;
        self.note(name, outcome.and_then(|reply| reply.is_problem(&[405])));
    }
}

async fn send(request: ClientRequest) -> Result<Reply, String> {
    let whole = async { request.send_any().await?.whole().await };
    let (status, headers, body) =
        whole.await.map_err(|error: CallError| samspill_observability::chain(&error).to_string())?;
    Ok(Reply { status, headers, body: body.into() })
}

impl Reply {
    fn media_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn says(&self, name: &HeaderName, expected: &str) -> Result<(), String> {
        match self.header(name) {
            Some(value) if value == expected => Ok(()),
            Some(value) => Err(format!("it answers `{name}: {value}`, not `{name}: {expected}`")),
            None => Err(format!("it answers without `{name}: {expected}`")),
        }
    }

    fn links(&self, relation: &str) -> Result<(), String> {
        let mut links = self.headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
        let relation = format!("rel=\"{relation}\"");
        if links.any(|link| link.contains(&relation)) {
            Ok(())
        } else {
            Err(format!("it answers without a `{}` with {relation}", header::LINK))
        }
    }

    fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("its body is not JSON: {error}"))
    }

    /// Is it one of the answers that the document names?
    fn fits(&self, described: &Value, document: &Value) -> Result<(), String> {
        let response = &described["responses"][self.status.as_str()];
        if response.is_null() {
            let is_there = self.status != StatusCode::METHOD_NOT_ALLOWED;
            return if self.status.is_client_error() && is_there {
                self.is_problem(&[self.status.as_u16()])
            } else {
                Err(format!("it answers {}, which the document does not name", self.status))
            };
        }
        let Some(content) = response["content"].as_object() else { return Ok(()) };
        let media_type = self.media_type();
        let Some(described) = content.get(media_type) else {
            return Err(format!("it answers {} with `content-type: {media_type}`", self.status));
        };
        Schemas::of(document).check(&self.json()?, &described["schema"])
    }

    fn is_problem(&self, expected: &[u16]) -> Result<(), String> {
        if !expected.contains(&self.status.as_u16()) {
            let expected: Vec<String> = expected.iter().map(u16::to_string).collect();
            return Err(format!("it answers {}, not {}", self.status, expected.join(" or ")));
        }
        if self.media_type() != "application/problem+json" {
            return Err(format!("its error is `content-type: {}`, not application/problem+json", self.media_type()));
        }
        let problem: Problem =
            serde_json::from_slice(&self.body).map_err(|error| format!("its body is no problem: {error}"))?;
        if problem.status() != self.status || problem.title().is_empty() {
            return Err(format!("its problem does not say `title` and `status: {}`", self.status.as_u16()));
        }
        Ok(())
    }

    fn varies(&self) -> Result<(), String> {
        let vary = self.headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
        let mut names = vary.flat_map(|value| value.split(',')).map(str::trim);
        if names.any(|name| name.eq_ignore_ascii_case(API_VERSION.as_str())) {
            Ok(())
        } else {
            Err(format!("it answers {} without `vary: {API_VERSION}`", self.status))
        }
    }

    fn is_unsupported(&self, expected: StatusCode) -> Result<(), String> {
        self.is_problem(&[expected.as_u16()])?;
        let versions = &self.json()?["supported"];
        if versions.as_array().is_some_and(|versions| versions.iter().all(Value::is_u64)) {
            Ok(())
        } else {
            Err("its problem has no list of `supported` versions".to_owned())
        }
    }
}

/// A request that fits its document.
struct Sample {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    form: Option<Value>,
}

impl Sample {
    fn of(operation: &Operation, described: &Value, document: &Value) -> Self {
        let schemas = Schemas::of(document);
        let body = |media_type: &str| {
            let schema = &described["requestBody"]["content"][media_type]["schema"];
            (!schema.is_null()).then(|| schemas.example(schema))
        };
        let mut sample = Self {
            method: operation.method.clone(),
            path: operation.path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body("application/json"),
            form: body("application/x-www-form-urlencoded"),
        };
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = text(&schemas.example(&parameter["schema"]));
            match parameter["in"].as_str() {
                Some("path") => sample.path = sample.path.replace(&format!("{{{name}}}"), &value),
                Some("query") if parameter["required"] == true => sample.query.push((name.to_owned(), value)),
                Some("header") if parameter["required"] == true => sample.headers.push((name.to_owned(), value)),
                _ => {}
            }
        }
        sample
    }

    fn request(&self, client: &Client, path: &str) -> ClientRequest {
        let mut request = client.request(&test::call(), self.method.clone(), path);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        match (&self.body, &self.form) {
            (Some(body), _) => request.json(body),
            (None, Some(form)) => request.form(form),
            (None, None) => request,
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
