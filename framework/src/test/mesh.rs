//! [`TestMesh`]: several services in one process, without sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use samspill_net::task;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::network::{Name, Network};
use crate::contract::{ApiRouter, Contract};
use crate::fault::Faults;
use crate::server::{self, Signals, Socket};
use crate::settings::Environment;
use crate::{Call, Channel, Client, Service};

/// The test itself, as the services see it.
const TEST: &str = "test";

/// Several services in one process that call each other by name, as in a mesh, and without sockets: so time can be paused.
///
/// Requests go through all layers of both sides, as bytes of HTTP/1.1 or HTTP/2. What sidecars do is done too: the callee
/// learns who called ([`Call::peer`] is `spiffe://test/ns/default/sa/<caller>`), and a name that nobody serves cannot be
/// reached. Ports do not matter: all lead to the same service. Each request has a connection of its own.
///
/// ```test_harness
/// use samspill::extract::Json;
/// use samspill::test::TestMesh;
/// use samspill::{Call, Problem, Service};
///
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// #[samspill::api(name = "report", versions = 1..=1)]
/// pub trait Report {
///     #[get("/total")]
///     async fn total(&self, call: &Call) -> Result<Json<u64>, Problem>;
/// }
///
/// struct Reporter { statistics: StatisticsClient }
///
/// impl Report for Reporter {
///     async fn total(&self, call: &Call) -> Result<Json<u64>, Problem> {
///         Ok(Json(self.statistics.counts(call).await?.iter().sum()))
///     }
/// }
///
/// #[samspill::test(start_paused = true)]
/// async fn a_report_adds_up() {
///     let mesh = TestMesh::new()
///         .with("statistics", |_service: Service| {
///             StatisticsApi::router(MockStatistics::new().with_counts(|_call| Ok(Json(vec![1, 2]))))
///         })
///         .with("report", |service: Service| {
///             ReportApi::router(Reporter { statistics: service.api::<StatisticsApi>() })
///         });
///     let report = mesh.api::<ReportApi>();
///     assert_eq!(report.total(&mesh.call()).await.unwrap(), 3);
///
///     mesh.stop("statistics").await;
///     assert!(report.total(&mesh.call()).await.is_err());
/// }
/// ```
#[derive(Debug, Default)]
pub struct TestMesh {
    network: Arc<Network>,
    environment: Environment,
    running: Mutex<BTreeMap<Name, Running>>,
}

/// A service that runs. When it is dropped, what it serves is cut.
#[derive(Debug)]
struct Running {
    asks_to_stop: mpsc::UnboundedSender<()>,
    serving: JoinHandle<()>,
}

/// What a service of a [`TestMesh`] serves: a router, or gRPC services that were added to the [`Service`], or both as a
/// pair, of which the [`Service`] may have been given anything else too.
///
/// ```
/// use axum::Router;
/// use samspill::Service;
/// use samspill::test::TestMesh;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mesh = TestMesh::new()
///     .with("pages", |_service: Service| Router::new())
///     .with("tracking", |service: Service| service /* .grpc(TrackingServer::new(..)) */)
///     .with("both", |service: Service| (service, Router::new()));
/// # drop(mesh);
/// # });
/// ```
pub trait Served {
    /// The service with its gRPC services, and the router.
    #[doc(hidden)]
    fn parts(self, given: Service) -> (Service, ApiRouter);
}

impl Served for Router {
    fn parts(self, given: Service) -> (Service, ApiRouter) {
        (given, self.into())
    }
}

impl Served for ApiRouter {
    fn parts(self, given: Service) -> (Service, ApiRouter) {
        (given, self)
    }
}

impl Served for Service {
    fn parts(self, _given: Service) -> (Service, ApiRouter) {
        (self, ApiRouter::default())
    }
}

impl<R: Into<ApiRouter>> Served for (Service, R) {
    fn parts(self, _given: Service) -> (Service, ApiRouter) {
        (self.0, self.1.into())
    }
}

impl TestMesh {
    /// A mesh in which nobody is yet. Keep it until the end of the test: its services end with it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The variables that are seen by the services added after this, which see no others.
    ///
    /// ```
    /// use axum::Router;
    /// use samspill::Service;
    /// use samspill::test::TestMesh;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Settings { base_cents: u64 }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mesh = TestMesh::new().environment([("BASE_CENTS", "4900")]).with("calculator", |service: Service| {
    ///     let settings: Settings = service.settings().unwrap();
    ///     assert_eq!(settings.base_cents, 4900);
    ///     Router::new()
    /// });
    /// # drop(mesh);
    /// # });
    /// ```
    #[must_use]
    pub fn environment<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.environment = variables.into_iter().collect();
        self
    }

    /// Adds a service. `build` is given what `main` is given: a [`Service`] of which the clients reach the others.
    ///
    /// # Panics
    /// The name is none, or taken; the environment or the descriptors are wrong; or there is no tokio runtime here.
    #[must_use]
    pub fn with<S: Served>(self, name: &str, build: impl FnOnce(Service) -> S) -> Self {
        let taken = self.start(name, build);
        assert!(
            taken.is_none(),
            "two services of this `TestMesh` are called `{name}`; `replace` puts one in place of another"
        );
        self
    }

    /// Puts another implementation in place of a service, or starts it again after [`stop`](Self::stop).
    ///
    /// Requests that come from now on go to the new one; it returns when the old one has answered what it had begun.
    ///
    /// ```test_harness
    /// use axum::{Router, routing::get};
    /// use samspill::test::TestMesh;
    ///
    /// #[samspill::test]
    /// async fn nobody_notices_another_implementation() {
    ///     let answers = |text: &'static str| move |_service| Router::new().route("/", get(async move || text));
    ///     let mesh = TestMesh::new().with("statistics", answers("old"));
    ///     mesh.replace("statistics", answers("new")).await;
    ///     let answer = mesh.client("statistics").get(&mesh.call(), "/").send().await.unwrap();
    ///     assert_eq!(answer.text().await.unwrap(), "new");
    /// }
    /// ```
    ///
    /// # Panics
    /// As [`with`](Self::with); or the old one panicked.
    pub async fn replace<S: Served>(&self, name: &str, build: impl FnOnce(Service) -> S) {
        if let Some(old) = self.start(name, build) {
            old.stop().await;
        }
    }

    /// Drains a service, as SIGTERM does, and waits for its end. From now on it cannot be reached.
    ///
    /// # Panics
    /// There is no such service, or it panicked.
    pub async fn stop(&self, name: &str) {
        let service = parse(name);
        self.network.close(&service);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&service);
        running.unwrap_or_else(|| panic!("no service of this `TestMesh` is called `{name}`")).stop().await;
    }

    /// Puts faults between a service and whoever calls it, in place of those that are there. `Faults::new()` ends them.
    ///
    /// ```test_harness
    /// use axum::{Router, routing::get};
    /// use http::StatusCode;
    /// use samspill::fault::Faults;
    /// use samspill::test::TestMesh;
    ///
    /// #[samspill::test]
    /// async fn statistics_can_be_down() {
    ///     let mesh = TestMesh::new().with("statistics", |_service| Router::new().route("/", get(async || "12")));
    ///     mesh.faults("statistics", Faults::new().abort(StatusCode::BAD_GATEWAY, 100));
    ///     let error = mesh.client("statistics").get(&mesh.call(), "/").send().await.unwrap_err();
    ///     assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    /// }
    /// ```
    ///
    /// # Panics
    /// The name is none.
    pub fn faults(&self, name: &str, faults: Faults) {
        self.network.set_faults(parse(name), faults);
    }

    /// Calls a service over HTTP, as the test.
    pub fn client(&self, name: &str) -> Client {
        self.service(TEST).client(name)
    }

    /// Calls a service by its contract, as the test.
    pub fn api<C: Contract>(&self) -> C::Client {
        self.service(TEST).api::<C>()
    }

    /// Calls a service over gRPC, as the test.
    pub fn channel(&self, name: &str) -> Channel {
        self.service(TEST).channel(name)
    }

    /// A call that belongs to no request.
    pub fn call(&self) -> Call {
        super::call()
    }

    /// A service that only calls: to see what another answers to this one.
    ///
    /// ```test_harness
    /// use axum::{Router, routing::get};
    /// use samspill::Call;
    /// use samspill::test::TestMesh;
    ///
    /// #[samspill::test]
    /// async fn callers_are_known() {
    ///     let who = async |call: Call| call.peer().unwrap().to_string();
    ///     let mesh = TestMesh::new().with("invoicing", |_service| Router::new().route("/", get(who)));
    ///     let answer = mesh.service("booking").client("invoicing").get(&mesh.call(), "/").send().await.unwrap();
    ///     assert_eq!(answer.text().await.unwrap(), "spiffe://test/ns/default/sa/booking");
    /// }
    /// ```
    ///
    /// # Panics
    /// The name is none, or the environment is wrong.
    pub fn service(&self, name: &str) -> Service {
        Service::new(name)
            .with_environment(self.environment.clone())
            .unwrap_or_else(|error| panic!("the environment of `{name}` has {error}"))
            .in_process(self.network.way_out(parse(name)))
    }

    /// Starts a service. Gives the one that had its name.
    fn start<S: Served>(&self, name: &str, build: impl FnOnce(Service) -> S) -> Option<Running> {
        let service = self.service(name);
        let (service, router) = build(service.clone()).parts(service);
        let app = service.app(router).unwrap_or_else(|error| panic!("{}", samspill_observability::chain(&error)));
        let (asks_to_stop, asked) = mpsc::unbounded_channel();
        let door = self.network.open(parse(name), name);
        let serving = server::serve(vec![Socket::InProcess(door)], app, service.drain(), Signals::Test(asked));
        let running = Running { asks_to_stop, serving: task::spawn("service of a test", serving) };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(parse(name), running)
    }
}

impl Running {
    async fn stop(self) {
        // It cannot fail while the service runs, and does not matter after.
        let _already_stopped = self.asks_to_stop.send(());
        if let Err(error) = self.serving.await {
            panic!("the service failed: {error}");
        }
    }
}

fn parse(name: &str) -> Name {
    Name::parse(name).unwrap_or_else(|error| panic!("{error}"))
}
