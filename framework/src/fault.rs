//! Faults on purpose: late answers and errors, by percentage or where a request asks for them.
//!
//! [`Faults`] is a tower layer for a service's router, and what [`TestMesh::faults`](crate::test::TestMesh::faults)
//! puts between services.
//!
//! ```test_harness
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use http::StatusCode;
//! use samspill::fault::{self, Faults};
//! use samspill::{CallError, test};
//!
//! #[samspill::test]
//! async fn a_request_can_ask_for_a_fault() {
//!     let faults = Faults::new().delay(Duration::from_millis(20), 5).by_header();
//!     let router = Router::new().route("/", get(async || "Hello")).layer(faults);
//!     let server = test::Server::start(test::service("hello", []), router).await;
//!     let client = server.client();
//!     let asked = client.get(&test::call(), "/").header(fault::HEADER, "delay=20ms, abort=503").send().await;
//!     let Err(CallError::Problem(problem)) = asked else { panic!("{asked:?}") };
//!     assert_eq!((problem.status(), problem.kind_uri()), (StatusCode::SERVICE_UNAVAILABLE, fault::KIND));
//!     server.stop().await;
//! }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, StatusCode};
use samspill_observability::context::TraceContext;
use tonic::server::NamedService;

use crate::Problem;
use crate::server::is_grpc;

/// With this header a request asks for a fault: `samspill-fault: delay=200ms, abort=503`. Honoured only where
/// [`Faults::by_header`] says so.
pub const HEADER: HeaderName = HeaderName::from_static("samspill-fault");

/// The `type` of a problem that was injected; for gRPC, `type` in the metadata of the status's `ErrorInfo`.
pub const KIND: &str = "urn:samspill:fault";

/// Which requests are delayed, and which are answered with an error before the service sees them.
///
/// Clones draw from the same numbers. The numbers are the same in each run, until [`seed`](Self::seed) chooses others.
#[derive(Clone, Debug)]
pub struct Faults {
    rules: Vec<Rule>,
    is_by_header: bool,
    draws: Arc<AtomicU64>,
}

/// One thing that happens to some of the requests.
#[derive(Clone, Copy, Debug)]
struct Rule {
    harm: Harm,
    /// Of 100 requests.
    percent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Delay(Duration),
    Abort(StatusCode),
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fault {
    delay: Duration,
    abort: Option<StatusCode>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// No faults yet.
    pub fn new() -> Self {
        Self { rules: Vec::new(), is_by_header: false, draws: Arc::new(AtomicU64::new(0)) }
    }

    /// Lets so many of 100 requests wait before they go on. Delays of several rules add up.
    #[must_use]
    pub fn delay(mut self, wait: Duration, percent: u8) -> Self {
        self.rules.push(Rule { harm: Harm::Delay(wait), percent });
        self
    }

    /// Answers so many of 100 requests with an error: a problem, or a gRPC status. Of several rules the first that
    /// applies decides.
    ///
    /// # Panics
    /// The status is no error: say 400 to 599.
    #[must_use]
    pub fn abort(mut self, status: StatusCode, percent: u8) -> Self {
        assert!(is_error(status), "{status} is no error; abort with 400 to 599");
        self.rules.push(Rule { harm: Harm::Abort(status), percent });
        self
    }

    /// Lets a request ask for its fault with [`HEADER`]; then the rules do not apply to it. Do not add it where
    /// strangers can call.
    #[must_use]
    pub fn by_header(mut self) -> Self {
        self.is_by_header = true;
        self
    }

    /// Chooses which requests are hit: the same ones in each run with this seed, if they come in the same order.
    ///
    /// ```
    /// use samspill::fault::Faults;
    ///
    /// let faults = Faults::new().abort(http::StatusCode::SERVICE_UNAVAILABLE, 50).seed(7);
    /// # let _ = faults;
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.draws = Arc::new(AtomicU64::new(seed));
        self
    }

    /// Does to a request what is its lot. Gives the answer in place of the service's, if there is one.
    pub(crate) async fn strike(&self, headers: &HeaderMap) -> Option<Response> {
        let fault = match self.fault(headers) {
            Ok(fault) => fault,
            Err(problem) => return Some(answer(&problem, headers)),
        };
        if !fault.delay.is_zero() {
            tracing::debug!(delay = ?fault.delay, "a fault delays a request");
            tokio::time::sleep(fault.delay).await;
        }
        let status = fault.abort?;
        tracing::debug!(%status, "a fault answers a request");
        let problem = Problem::new(status, "Injected fault").kind(KIND).detail("The service has not seen the request.");
        Some(answer(&problem, headers))
    }

    fn fault(&self, headers: &HeaderMap) -> Result<Fault, Problem> {
        let mut fault = Fault::default();
        if self.is_by_header && headers.contains_key(HEADER) {
            for value in headers.get_all(HEADER) {
                let text = value.to_str().unwrap_or_default();
                for part in text.split(',') {
                    fault.add(harm(part.trim()).ok_or_else(|| not_understood(part.trim()))?);
                }
            }
        } else {
            for rule in &self.rules {
                if self.draw() < rule.percent {
                    fault.add(rule.harm);
                }
            }
        }
        Ok(fault)
    }

    /// 0 to 99. Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
    fn draw(&self) -> u8 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.draws.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((z ^ (z >> 31)) % 100).unwrap_or_default()
    }
}

impl Fault {
    fn add(&mut self, harm: Harm) {
        match harm {
            Harm::Delay(wait) => self.delay = self.delay.saturating_add(wait),
            Harm::Abort(status) => self.abort = self.abort.or(Some(status)),
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// `delay=200ms`, `delay=2s` or `abort=503`.
fn harm(text: &str) -> Option<Harm> {
    match text.split_once('=')? {
        ("delay", wait) => {
            let millis = wait.strip_suffix("ms").map(|number| number.parse().map(Duration::from_millis));
            let seconds = || wait.strip_suffix('s').map(|number| number.parse().map(Duration::from_secs));
            Some(Harm::Delay(millis.or_else(seconds)?.ok()?))
        }
        ("abort", status) => Some(Harm::Abort(status.parse().ok().filter(|status| is_error(*status))?)),
        _ => None,
    }
}

fn not_understood(part: &str) -> Problem {
    let detail =
        format!("`{HEADER}` has `{part}`; write delay=200ms, delay=2s or abort=503, with commas between them.");
    Problem::from(StatusCode::BAD_REQUEST).detail(detail)
}

/// As the caller speaks. Where no service is there to add the trace, the caller's own is named.
fn answer(problem: &Problem, headers: &HeaderMap) -> Response {
    if is_grpc(headers) {
        return problem.to_status().into_http();
    }
    let problem = problem.clone();
    match TraceContext::parse(headers) {
        Some(trace) => problem.with_trace_id(trace.trace_id_hex()).into_response(),
        None => problem.into_response(),
    }
}

/// A service that is wrapped in [`Faults`].
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> tower::Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { inner, faults: self.clone() }
    }
}

impl<S, B> tower::Service<http::Request<B>> for Faulty<S>
where
    S: tower::Service<http::Request<B>, Response: IntoResponse, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The one that is ready is taken; its clone has to ask again.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let faults = self.faults.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if let Some(instead) = faults.strike(&parts.headers).await {
                return Ok(instead);
            }
            inner.call(http::Request::from_parts(parts, body)).await.map(IntoResponse::into_response)
        })
    }
}

/// A tonic service in the layer is one too: `service.grpc(faults.layer(TrackingServer::new(..)))`.
impl<S: NamedService> NamedService for Faulty<S> {
    const NAME: &'static str = S::NAME;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (HEADER, http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_header_is_honoured_only_where_it_may_ask() {
        let asked = asking(&["delay=200ms, abort=503", "delay=1s"]);
        assert_eq!(Faults::new().fault(&asked), Ok(Fault::default()));
        let expected = Fault { delay: Duration::from_millis(1200), abort: Some(StatusCode::SERVICE_UNAVAILABLE) };
        assert_eq!(Faults::new().by_header().fault(&asked), Ok(expected));
        // What a request asks for is all that happens to it.
        let faults = Faults::new().abort(StatusCode::BAD_GATEWAY, 100).by_header();
        assert_eq!(faults.fault(&asking(&["delay=0s"])), Ok(Fault::default()));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for wrong in ["", "delay", "delay=2", "delay=-2s", "delay=2h", "abort=200", "abort=x", "abort=503;delay=2s"] {
            let problem = Faults::new().by_header().fault(&asking(&[wrong])).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{wrong}");
            assert!(problem.to_string().contains(&format!("`{wrong}`; write delay=200ms")), "{problem}");
        }
    }

    #[test]
    fn percentages_are_kept_and_repeat_with_their_seed() {
        let hits = |seed, percent| -> Vec<bool> {
            let faults = Faults::new().abort(StatusCode::BAD_GATEWAY, percent).seed(seed);
            (0..1000).map(|_| faults.fault(&HeaderMap::new()).unwrap().abort.is_some()).collect()
        };
        let share = |percent| hits(7, percent).into_iter().filter(|hit| *hit).count();
        assert_eq!((share(0), share(100), share(255)), (0, 1000, 1000));
        assert!((250..350).contains(&share(30)), "{}", share(30));
        assert_eq!(hits(7, 30), hits(7, 30));
        assert_ne!(hits(7, 30), hits(8, 30));
    }
}
