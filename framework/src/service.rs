//! [`Service`]: what a `main` builds, runs and serves.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use samspill_net::drain::{self, Drain};
use samspill_net::inherited::Descriptors;
use samspill_net::{Listener, UnixListener};
use samspill_observability::telemetry;
use serde::de::DeserializeOwned;
use tonic::server::NamedService;
use tonic::service::Routes;

use crate::call::Surroundings;
use crate::client::Transport;
use crate::server::{self, App, Signals, Socket};
use crate::settings::{Environment, Outside, SettingsError};
use crate::{Call, Channel, Client, Error, JwtSettings, observe};

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
    environment: Environment,
    outside: Outside,
    transport: Transport,
    grpc: Routes,
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
            environment: Environment::default(),
            outside: Outside::default(),
            transport: Transport::new(None),
            grpc: Routes::default(),
            jwt: None,
            drain: Arc::new(drain::channel().0),
            is_process: false,
        }
    }

    /// Runs `main` in this process: with the process's environment, a tokio runtime, logs on standard error and spans
    /// to `OTEL_EXPORTER_OTLP_ENDPOINT` if that is set.
    ///
    /// Gives 0 when `main` returned, 64 when settings are wrong, 1 for any other error. Tasks that `main` left behind
    /// are cut; spans are sent within two seconds.
    pub fn run<F>(self, main: F) -> ExitCode
    where
        F: AsyncFnOnce(Service) -> Result<(), Error>,
    {
        let environment = Environment::of_process();
        let telemetry = match telemetry::init(&environment.telemetry(&self.name)) {
            Ok(telemetry) => telemetry,
            Err(error) => return cannot_start(&error),
        };
        let outcome = self.run_in(environment, main);
        let code = match &outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the service stops");
                error.exit_code()
            }
        };
        drop(telemetry);
        code
    }

    fn run_in<F>(self, environment: Environment, main: F) -> Result<(), Error>
    where
        F: AsyncFnOnce(Service) -> Result<(), Error>,
    {
        let service = Self { is_process: true, ..self.with_environment(environment)? };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(main(service));
        runtime.shutdown_background();
        outcome
    }

    /// The same service in other surroundings.
    pub(crate) fn with_environment(self, environment: Environment) -> Result<Self, SettingsError> {
        let outside = Outside::read(&environment)?;
        let transport = Transport::new(outside.outbound);
        Ok(Self { environment, outside, transport, ..self })
    }

    /// The name given to [`new`](Self::new).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the service's settings into a struct: serde's defaults, then the YAML file that `SAMSPILL_SETTINGS`
    /// names, then the environment, where `database_url` is called `DATABASE_URL`; each beats the one before.
    ///
    /// A field of the environment is a text, a number, a flag, or an enum without data; nested settings come from
    /// the file.
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
    /// All mistakes at once: what cannot be read as its field's type, what is missing, keys of the file that no field
    /// has. `main` passes it on with `?`; the process then exits with 64.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        self.environment.settings()
    }

    /// Calls another service over HTTP: `service.client("invoicing")`, or `"invoicing.shop:8080"`.
    pub fn client(&self, service: impl Into<String>) -> Client {
        Client::new(service, self.transport.clone())
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
        Call::of_our_own(observe::own_span(name), &self.surroundings())
    }

    /// Adds a gRPC service, served on every port beside the router.
    #[must_use]
    pub fn grpc<S: GrpcService>(mut self, service: S) -> Self {
        self.grpc = self.grpc.add_service(service);
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
    /// A socket that cannot be had.
    pub async fn serve(self, router: Router) -> Result<(), Error> {
        let stop = Signals::install()?;
        let sockets = self.listeners().await?.into_iter().map(Socket::Tcp).collect();
        server::serve(sockets, self.app(router), self.drain, stop).await;
        Ok(())
    }

    /// As [`serve`](Self::serve), but on a Unix socket only: for an interface that other machines and users must not reach.
    ///
    /// Its requests make no spans: whoever asks what a service is doing must not change what is seen of it.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub async fn serve_unix(self, listener: std::os::unix::net::UnixListener, router: Router) -> Result<(), Error> {
        let stop = Signals::install()?;
        let socket = Socket::Unix(UnixListener::from_std(listener)?);
        server::serve(vec![socket], self.app(router).without_spans(), self.drain, stop).await;
        Ok(())
    }

    /// The same service, which ends on its own.
    pub(crate) fn with_own_drain(self) -> Self {
        Self { drain: Arc::new(drain::channel().0), ..self }
    }

    pub(crate) fn drain(&self) -> Arc<Drain> {
        Arc::clone(&self.drain)
    }

    pub(crate) fn app(&self, router: Router) -> App {
        App::new(router, self.grpc.clone(), self.surroundings())
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            in_mesh: self.outside.outbound.is_some(),
            database_system: self.outside.database_system,
            drain: Some(Arc::clone(&self.drain)),
            has_spans: true,
            jwt: self.jwt.clone(),
        }
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
