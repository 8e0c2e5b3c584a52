//! A service without a process around it, and a server on a free port.

use std::net::{Ipv4Addr, SocketAddr};

use samspill_net::{Listener, task};
use samspill_observability::telemetry::Span;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::call::Surroundings;
use crate::contract::ApiRouter;
use crate::server::{self, Signals, Socket};
use crate::{Call, Channel, Client, Service};

/// A service that sees these variables and no others. `SAMSPILL_OUTBOUND` may name a server of the test, which then
/// answers for every service that is called; the name is in its requests' `Host`.
///
/// ```
/// let service = samspill::test::service("invoicing", [("DATABASE_URL", "sqlite::memory:")]);
/// assert_eq!(service.name(), "invoicing");
/// ```
///
/// # Panics
/// The framework's own variables are wrong.
pub fn service<'a>(name: &str, environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Service {
    Service::new(name)
        .with_environment(environment.into_iter().collect())
        .unwrap_or_else(|error| panic!("the test's environment has {error}"))
}

/// As [`service`], started with these arguments: `["--database-url", "sqlite::memory:"]`.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings { database_url: String }
///
/// let service = samspill::test::service_with_arguments("invoicing", [], ["--check-config", "--database-url=sqlite:a.db"]);
/// let error = service.settings::<Settings>().map(|settings| settings.database_url).unwrap_err();
/// assert_eq!(error.answer(), Some("settings are sound\n"));
/// ```
pub fn service_with_arguments<'a>(
    name: &str,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Service {
    Service::new(name).with_sources(environment.into_iter().collect(), arguments.into_iter().collect())
}

/// A call that belongs to no request.
///
/// ```
/// use samspill::{Call, Problem, test};
///
/// async fn greet(call: &Call) -> Result<String, Problem> {
///     Ok(format!("Hello, {:?}", call.peer()))
/// }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// assert_eq!(greet(&test::call()).await.unwrap(), "Hello, None");
/// # });
/// ```
pub fn call() -> Call {
    Call::of_our_own(Span::none(), &Surroundings::default())
}

/// A service that serves on a free port of 127.0.0.1, exactly as [`Service::serve`] does, until it is stopped or dropped.
///
/// ```test_harness
/// use axum::{Router, routing::get};
/// use samspill::test;
///
/// #[samspill::test]
/// async fn it_says_hello() {
///     let router = Router::new().route("/", get(async || "Hello"));
///     let server = test::Server::start(test::service("hello", []), router).await;
///     let answer = server.client().get(&test::call(), "/").send().await.unwrap();
///     assert_eq!(answer.text().await.unwrap(), "Hello");
///     server.stop().await; // what it had begun is finished
/// }
/// ```
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    asks_to_stop: mpsc::UnboundedSender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts to serve a router, and the gRPC services that were added to `service`.
    ///
    /// # Panics
    /// No port is free, or the [`descriptors`](Service::descriptors) of `service` are none.
    pub async fn start(service: Service, router: impl Into<ApiRouter>) -> Self {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap_or_else(|error| panic!("no port is free: {error}"));
        let address = listener.local_addr();
        let (asks_to_stop, asked) = mpsc::unbounded_channel();
        // A test may start several servers of one service; they do not drain together.
        let service = service.with_own_drain();
        let app = service.app(router.into());
        let app = app.unwrap_or_else(|error| panic!("{}", samspill_observability::chain(&error)));
        let sockets = vec![Socket::Tcp(listener)];
        let serving = task::spawn("test server", server::serve(sockets, app, service.drain(), Signals::Test(asked)));
        Self { address, asks_to_stop, serving }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on it: `http://127.0.0.1:…/livez`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Calls it over HTTP.
    pub fn client(&self) -> Client {
        service("test", []).client(self.address.to_string())
    }

    /// Calls it over gRPC.
    pub fn channel(&self) -> Channel {
        service("test", []).channel(self.address.to_string())
    }

    /// Asks it to drain, as SIGTERM does; returns at once. Asked twice, it cuts what is left.
    pub fn drain(&self) {
        // It cannot fail while the server runs, and does not matter after.
        let _already_stopped = self.asks_to_stop.send(());
    }

    /// Drains it and waits for the end.
    ///
    /// # Panics
    /// The server panicked.
    pub async fn stop(self) {
        self.drain();
        if let Err(error) = self.serving.await {
            panic!("the server failed: {error}");
        }
    }
}
