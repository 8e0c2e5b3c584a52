//! [`Service`]: what a `main` builds, runs and serves.

use std::convert::Infallible;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use axum::response::IntoResponse;
use samspill_net::drain::{self, Drain};
use samspill_net::inherited::Descriptors;
use samspill_net::{Listener, UnixListener};
use samspill_observability::telemetry;
use serde::de::DeserializeOwned;
use tonic::server::NamedService;

use crate::call::Surroundings;
use crate::client::Transport;
use crate::contract::{ApiRouter, Contract};
use crate::server::{self, App, DescriptorsError, GrpcServices, Signals, Socket};
use crate::settings::{Arguments, Environment, Outside, SettingsError, Sources};
use crate::test::WayOut;
use crate::{Call, Channel, Client, Error, JwtSettings, observe, problem};

/// The port of a service that nobody gave one.
const DEFAULT_PORT: u16 = 8080;

/// One service: its settings, its ways to other services, and its server.
///
/// It needs nothing around it: `cargo run` serves on port 8080, or `PORT`. In a mesh it takes the sockets that it is
/// given, calls others through its sidecar (`SAMSPILL_OUTBOUND`) and exports its spans.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use axum::{Router, routing::get};
/// use samspill::Service;
///
/// fn main() -> ExitCode {
///     Service::new("hello").run(async |service: Service| -> Result<(), samspill::Error> {
///         service.serve(Router::new().route("/", get(async || "Hello"))).await
///     })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    name: String,
    sources: Sources,
    outside: Outside,
    transport: Transport,
    grpc: GrpcServices,
    jwt: Option<Arc<JwtSettings>>,
    /// One for all that the service does.
    drain: Arc<Drain>,
    /// Whether this is the process's own service, which takes the sockets that the process was given.
    is_process: bool,
}

/// A generated tonic server, which [`Service::grpc`] takes: `TrackingServer::new(..)`.
///
/// Implemented by all of them; nobody else needs to.
pub trait GrpcService:
    tower::Service<http::Request<tonic::body::Body>, Response: IntoResponse, Error = Infallible, Future: Send + 'static>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S
where
    S: tower::Service<http::Request<tonic::body::Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
}

impl Service {
    /// A service with a name, as its callers spell it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            sources: Sources::default(),
            outside: Outside::default(),
            transport: Transport::new(None),
            grpc: GrpcServices::default(),
            jwt: None,
            drain: Arc::new(drain::channel().0),
            is_process: false,
        }
    }

    /// Runs `main` in this process: with the process's environment, a tokio runtime, logs on standard error and spans
    /// to `OTEL_EXPORTER_OTLP_ENDPOINT` if that is set.
    ///
    /// Gives 0 when `main` returned, or when a flag such as `--help` was answered; 64 when settings are wrong, 1 for
    /// any other error. Tasks that `main` left behind are cut; spans are sent within two seconds.
    pub fn run<F>(self, main: F) -> ExitCode
    where
        F: AsyncFnOnce(Service) -> Result<(), Error>,
    {
        let environment = Environment::of_process();
        problem::set_domain(&self.name);
        let telemetry = match telemetry::init(&environment.telemetry(&self.name)) {
            Ok(telemetry) => telemetry,
            Err(error) => return cannot_start(&error),
        };
        let service = Self { is_process: true, ..self.with_sources(environment, Arguments::of_process()) };
        // The service's own, which `main` takes.
        let sources = service.sources.clone();
        let outcome = run_to_end(service, main);
        let code = match (sources.answer(), &outcome) {
            // Whatever `main` made of it: it has run no further than to where settings are read.
            (Some(answer), _) => print(answer),
            (None, Ok(())) => ExitCode::SUCCESS,
            (None, Err(error)) => {
                tracing::error!(%error, "the service stops");
                error.exit_code()
            }
        };
        drop(telemetry);
        code
    }

    /// The same service in other surroundings, of which nothing is wrong.
    pub(crate) fn with_environment(self, environment: Environment) -> Result<Self, SettingsError> {
        Outside::check(&environment)?;
        Ok(self.with_sources(environment, Arguments::default()))
    }

    /// The same service in other surroundings. What is wrong with the framework's variables is told with the settings.
    pub(crate) fn with_sources(self, environment: Environment, arguments: Arguments) -> Self {
        let (outside, _told_with_the_settings) = Outside::read(&environment);
        let transport = Transport::new(outside.outbound);
        Self { sources: Sources::new(environment, arguments), outside, transport, ..self }
    }

    /// The same service, among those of its process.
    pub(crate) fn in_process(self, way_out: WayOut) -> Self {
        Self { transport: Transport::in_process(way_out), ..self }
    }

    /// The name given to [`new`](Self::new).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the service's settings into a struct, the one definition of them: the field `database_url` is the flag
    /// `--database-url`, the variable `DATABASE_URL`, and the key `database_url` in the YAML file that `--settings` or
    /// `SAMSPILL_SETTINGS` names. A flag beats the variable, which beats the file, which beats serde's default.
    ///
    /// A field of a flag or a variable is a text, a number, a switch (`--fast` is `--fast true`), or an enum without
    /// data; nested settings come from the file. A password or a key is a [`Secret`](crate::Secret).
    ///
    /// The arguments are those of the process if it is [`run`](Self::run). Every service has `--help`,
    /// `--check-config` and `--print-config` too: this then gives an error, which `main` passes on, and nothing that
    /// comes after is run. So read settings first, and once.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Settings {
    ///     database_url: String,
    ///     #[serde(default = "base")]
    ///     base_cents: u64,
    /// }
    ///
    /// fn base() -> u64 { 4900 }
    ///
    /// let service = samspill::test::service("invoicing", [("DATABASE_URL", "sqlite:invoices.db")]);
    /// let settings: Settings = service.settings().unwrap();
    /// assert_eq!((settings.database_url.as_str(), settings.base_cents), ("sqlite:invoices.db", 4900));
    /// ```
    ///
    /// # Errors
    /// All mistakes at once: what cannot be read as its field's type, what is missing, flags and keys of the file that
    /// no field has, and what is wrong with the framework's own variables. Or a flag asks for something else than to
    /// run. `main` passes it on with `?`; the process then exits with 64, or 0.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        self.sources.read(&self.name)
    }

    /// Calls another service over HTTP: `service.client("invoicing")`, or `"invoicing.shop:8080"`.
    ///
    /// ```
    /// use samspill::CallError;
    /// use samspill::test::TestMesh;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mesh = TestMesh::new(); // in which nobody is yet
    /// let invoicing = mesh.service("parcel-booking").client("invoicing");
    /// let error = invoicing.get(&mesh.call(), "/v1/invoices").send().await.unwrap_err();
    /// assert!(matches!(error, CallError::Unreachable { .. }));
    /// # });
    /// ```
    pub fn client(&self, service: impl Into<String>) -> Client {
        Client::new(service, self.transport.clone())
    }

    /// Calls another service by its contract, of which the name is the service's:
    ///
    /// ```
    /// # use samspill::{Call, Problem, extract::Json};
    /// #[samspill::api(name = "statistics", versions = 1..=1)]
    /// pub trait Statistics {
    ///     #[get("/counts")]
    ///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    /// }
    ///
    /// # let service = samspill::Service::new("parcel-booking");
    /// let statistics = service.api::<StatisticsApi>();
    /// // The same contract, kept by a service of another name:
    /// let other = StatisticsClient::from(service.client("statistics-of-the-north"));
    /// # let _ = (statistics, other);
    /// ```
    pub fn api<C: Contract>(&self) -> C::Client {
        self.client(C::api().name()).into()
    }

    /// Calls another service over gRPC: `service.channel("parcel-tracking:50051")`.
    pub fn channel(&self, service: impl Into<String>) -> Channel {
        Channel::new(service, self.transport.clone())
    }

    /// A call that no request asked for, such as finishing at the start what an earlier run has begun. It is a trace
    /// of its own, which `name` names.
    ///
    /// ```
    /// let service = samspill::Service::new("parcel-booking");
    /// let call = service.call("finish-pending");
    /// assert!(call.peer().is_none());
    /// ```
    pub fn call(&self, name: &str) -> Call {
        let surroundings = self.surroundings();
        Call::of_our_own(observe::own_span(surroundings.spans.as_ref(), name), &surroundings)
    }

    /// Adds a gRPC service, served on every port beside the router.
    ///
    /// With the first one comes `grpc.health.v1.Health`. It says of each of them, and of `""`, what `/readyz` says: SERVING
    /// until the drain starts, then NOT_SERVING, with which its watches end.
    ///
    /// ```
    /// # #[derive(Clone)] struct TrackingServer;
    /// # impl tonic::server::NamedService for TrackingServer { const NAME: &'static str = "shop.v1.Tracking"; }
    /// # impl tower::Service<http::Request<tonic::body::Body>> for TrackingServer {
    /// #     type Response = http::Response<tonic::body::Body>;
    /// #     type Error = std::convert::Infallible;
    /// #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
    /// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> { Ok(()).into() }
    /// #     fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future { std::future::ready(Ok(Default::default())) }
    /// # }
    /// // tonic has made `TrackingServer` of a `.proto`: `TrackingServer::new(tracking)`.
    /// let service = samspill::Service::new("parcel-tracking").grpc(TrackingServer);
    /// # let _ = service;
    /// ```
    #[must_use]
    pub fn grpc<S: GrpcService>(mut self, service: S) -> Self {
        self.grpc = self.grpc.add(service);
        self
    }

    /// Describes the gRPC services to tools like grpcurl: an encoded `FileDescriptorSet` with all that its files import.
    /// May be called once per set.
    ///
    /// They are served by `grpc.reflection.v1.ServerReflection` (and `v1alpha`) in development only: where
    /// `SAMSPILL_DEVELOPMENT` is `1`, as `samspill up` sets it, or it is not set and there is no mesh.
    ///
    /// `build.rs` writes them where it compiles the `.proto` files:
    ///
    /// ```text
    /// let mut compiler = protox::Compiler::new(["proto"])?;
    /// compiler.include_imports(true).open_files(["proto/shop/v1/shop.proto"])?;
    /// let path = Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin");
    /// std::fs::write(path, compiler.encode_file_descriptor_set())?;
    /// tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    /// ```
    ///
    /// and the crate keeps them:
    ///
    /// ```
    /// # macro_rules! include_bytes { ($path:expr) => { tonic_health::pb::FILE_DESCRIPTOR_SET } }
    /// const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    ///
    /// let service = samspill::Service::new("shop").descriptors(DESCRIPTORS);
    /// ```
    #[must_use]
    pub fn descriptors(mut self, encoded: &'static [u8]) -> Self {
        self.grpc = self.grpc.describe(encoded);
        self
    }

    /// Says whose bearer tokens count. A request with another token is refused with 401, and one without a token has no
    /// subject: a handler that needs one calls [`Call::require_subject`].
    ///
    /// Without this, `Authorization` is none of the framework's business.
    #[must_use]
    pub fn jwt(mut self, settings: JwtSettings) -> Self {
        self.jwt = Some(Arc::new(settings));
        self
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is begun and returns.
    ///
    /// Everything is served on every port given: the sockets of `LISTEN_FDS`, else `PORT` and each `PORT_<NAME>` on all
    /// addresses, else 127.0.0.1:8080. HTTP/1.1 and HTTP/2 in clear text are told apart by their first bytes.
    /// `/livez`, `/readyz` and `/startupz` are answered by the server itself.
    ///
    /// Of each connection it expects: its first byte and a whole head within 10 s each (408), at most 64 KiB and 100
    /// headers (414, 431), at most 2 MiB of body (413) that comes at 1 KiB/s or more and never pauses for 30 s while a handler
    /// waits for it (408; gRPC is left to its own deadlines), and a next request within 75 s.
    ///
    /// The drain: `/readyz` says 503, idle connections are closed, others with their last answer,
    /// [detached](Call::detach) work is waited for, and after 25 s all that is left is cut. A second signal cuts at once.
    ///
    /// # Errors
    /// A socket that cannot be had, or [`descriptors`](Self::descriptors) that are none. [`settings`](Self::settings) has
    /// given an error, or was never called and there are flags or a file.
    pub async fn serve(self, router: impl Into<ApiRouter>) -> Result<(), Error> {
        self.sources.check(&self.name)?;
        let app = self.app(router.into())?;
        let stop = Signals::install()?;
        let sockets = self.listeners().await?.into_iter().map(Socket::Tcp).collect();
        server::serve(sockets, app, self.drain, stop).await;
        Ok(())
    }

    /// As [`serve`](Self::serve), but on a Unix socket only: for an interface that other machines and users must not reach.
    ///
    /// Its requests make no spans: whoever asks what a service is doing must not change what is seen of it.
    ///
    /// ```
    /// use std::os::unix::net::UnixListener;
    ///
    /// use axum::{Router, routing::get};
    /// use samspill::{Error, Service};
    ///
    /// async fn operate(service: Service) -> Result<(), Error> {
    ///     let socket = UnixListener::bind("/run/shop/admin.sock")?;
    ///     service.serve_unix(socket, Router::new().route("/queue", get(async || "empty"))).await
    /// }
    /// # let _ = operate;
    /// ```
    ///
    /// # Errors
    /// The socket cannot be used, or descriptors or settings are as [`serve`](Self::serve) refuses them.
    pub async fn serve_unix(
        self,
        listener: std::os::unix::net::UnixListener,
        router: impl Into<ApiRouter>,
    ) -> Result<(), Error> {
        self.sources.check(&self.name)?;
        let app = self.app(router.into())?.without_spans();
        let stop = Signals::install()?;
        let socket = Socket::Unix(UnixListener::from_std(listener)?);
        server::serve(vec![socket], app, self.drain, stop).await;
        Ok(())
    }

    /// The same service, which ends on its own.
    pub(crate) fn with_own_drain(self) -> Self {
        Self { drain: Arc::new(drain::channel().0), ..self }
    }

    pub(crate) fn drain(&self) -> Arc<Drain> {
        Arc::clone(&self.drain)
    }

    pub(crate) fn app(&self, router: ApiRouter) -> Result<App, DescriptorsError> {
        App::new(router, self.grpc.clone(), self.outside.is_development, self.surroundings())
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            in_mesh: self.transport.is_in_mesh(),
            database_system: self.database_system(),
            drain: Some(Arc::clone(&self.drain)),
            spans: telemetry::spans(),
            jwt: self.jwt.clone(),
        }
    }

    /// `db.system.name` of the database that the settings name.
    pub(crate) fn database_system(&self) -> &'static str {
        self.sources.database_system().unwrap_or(self.outside.database_system)
    }

    /// The sockets to serve on.
    async fn listeners(&self) -> Result<Vec<Listener>, Error> {
        let mut inherited = if self.is_process { Descriptors::take()? } else { Descriptors::default() };
        let names: Vec<String> = inherited.names().map(str::to_owned).collect();
        let mut listeners = Vec::new();
        for name in names {
            if let Some(socket) = inherited.tcp_listener(&name) {
                listeners.push(Listener::from_std(socket)?);
            }
        }
        if !listeners.is_empty() {
            return Ok(listeners);
        }
        // Whoever sets a port is a platform that comes from outside; a developer's own machine is nobody else's.
        let addresses = match self.outside.ports.as_slice() {
            [] => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))],
            ports => ports.iter().map(|&port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).collect(),
        };
        for address in addresses {
            let listener = Listener::bind(address).await.map_err(|source| BindError { address, source })?;
            listeners.push(listener);
        }
        Ok(listeners)
    }
}

fn run_to_end<F>(service: Service, main: F) -> Result<(), Error>
where
    F: AsyncFnOnce(Service) -> Result<(), Error>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(main(service));
    runtime.shutdown_background();
    outcome
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; set PORT to another port")]
struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

#[expect(clippy::print_stderr, reason = "logs are what could not be started")]
fn cannot_start(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {}", samspill_observability::chain(error));
    ExitCode::FAILURE
}

/// Prints what a flag asked for.
fn print(answer: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => cannot_start(&error),
    }
}
