//! [`ApiRouter`]: contracts being served, beside ordinary routes.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, Route, on_service};
use bytes::Bytes;
use futures_util::FutureExt;
use http::Method;
use http::header::CONTENT_TYPE;
use tower::service_fn;

use super::api::Api;
use super::openapi::Dialect;
use super::versions::{self, Versions};
use super::{Contract, Received, page};
use crate::{Call, Problem};

/// What a service serves: contracts, and whatever axum routes stand beside them.
///
/// `StatisticsApi::router(implementation)` makes one; an [`axum::Router`] is one too.
///
/// ```
/// use axum::routing::get;
/// use samspill::extract::Json;
/// use samspill::{Call, Problem};
///
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// struct Counter;
///
/// impl Statistics for Counter {
///     async fn counts(&self, _call: &Call) -> Result<Json<Vec<u64>>, Problem> {
///         Ok(Json(vec![12]))
///     }
/// }
///
/// let router = StatisticsApi::router(Counter).route("/", get(async || "ask me under /v1/counts"));
/// # let _ = router;
/// ```
#[derive(Clone, Debug, Default)]
pub struct ApiRouter {
    router: Router,
    /// The documents without a contract's name in their paths, if there is only one contract.
    only_documents: Option<Router>,
    apis: Vec<&'static Api>,
}

impl ApiRouter {
    /// Of one contract, with its documents and no operation yet.
    #[doc(hidden)]
    #[must_use]
    pub fn new<C: Contract>() -> Self {
        let api = C::api();
        Self { router: documents(api, true), only_documents: Some(documents(api, false)), apis: vec![api] }
    }

    /// Serves an operation in each version that has it.
    #[doc(hidden)]
    #[must_use]
    pub fn handler<F, Fut>(mut self, name: &str, handler: F) -> Self
    where
        F: Fn(Call, Received) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let api = self.apis.first().copied();
        let operation = api.and_then(|api| Some((api, api.operations().iter().find(|known| known.name == name)?)));
        let (api, operation) = operation.unwrap_or_else(|| unreachable!("because the macro writes both lists"));
        for version in operation.versions() {
            let handler = handler.clone();
            let notice = versions::notice(api, operation, version).map(Arc::new);
            // A service and a combinator, because an axum handler and an `async` block would each hold all of it twice.
            let route = service_fn(move |request: Request| {
                let notice = notice.clone().map(|notice| (notice, versions::depth(&request)));
                let handled = handler(Call::of(request.extensions(), request.headers()), Received::new(request));
                handled.map(move |answered| {
                    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
                    if let Some((notice, depth)) = &notice {
                        notice.add_to(response.headers_mut(), *depth);
                    }
                    Ok::<_, Infallible>(response)
                })
            });
            let route = on_service(filter(&operation.method), route);
            self.router = self.router.route(&versions::path(version, operation.path), route);
        }
        self
    }

    /// Adds a route, as [`Router::route`] does.
    #[must_use]
    pub fn route(mut self, path: &str, method_router: MethodRouter) -> Self {
        self.router = self.router.route(path, method_router);
        self
    }

    /// Adds everything of another router, as [`Router::merge`] does: a second contract, or ordinary routes.
    ///
    /// ```
    /// # use samspill::extract::Json;
    /// # use samspill::{Call, Problem};
    /// # #[samspill::api(name = "statistics", versions = 1..=1)]
    /// # pub trait Statistics {
    /// #     #[get("/counts")]
    /// #     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    /// # }
    /// use axum::{Router, routing::get};
    ///
    /// let contract = StatisticsApi::router(MockStatistics::new());
    /// let router = contract.merge(Router::new().route("/", get(async || "a page for people")));
    /// # let _ = router;
    /// ```
    #[must_use]
    pub fn merge(mut self, other: impl Into<Self>) -> Self {
        let other = other.into();
        self.router = self.router.merge(other.router);
        // Of two, none is the only one.
        self.only_documents = match (self.apis.is_empty(), other.apis.is_empty()) {
            (_, true) => self.only_documents,
            (true, false) => other.only_documents,
            (false, false) => None,
        };
        self.apis.extend(other.apis);
        self
    }

    /// Wraps every route, as [`Router::layer`] does.
    ///
    /// ```
    /// # use samspill::extract::Json;
    /// # use samspill::{Call, Problem};
    /// # #[samspill::api(name = "statistics", versions = 1..=1)]
    /// # pub trait Statistics {
    /// #     #[get("/counts")]
    /// #     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    /// # }
    /// use samspill::idempotency::{Idempotency, MemoryStore};
    ///
    /// let router = StatisticsApi::router(MockStatistics::new()).layer(Idempotency::new(MemoryStore::new()));
    /// # let _ = router;
    /// ```
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: tower::Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: tower::Service<Request, Response: IntoResponse, Error: Into<Infallible>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.router = self.router.layer(layer.clone());
        self.only_documents = self.only_documents.map(|documents| documents.layer(layer));
        self
    }

    /// The routes alone, for a server that is not ours: versions in the path, not in the header.
    ///
    /// ```
    /// # use samspill::extract::Json;
    /// # use samspill::{Call, Problem};
    /// # #[samspill::api(name = "statistics", versions = 1..=1)]
    /// # pub trait Statistics {
    /// #     #[get("/counts")]
    /// #     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    /// # }
    /// let contract = StatisticsApi::router(MockStatistics::new());
    /// let router = axum::Router::new().nest("/api", contract.into_router());
    /// # let _ = router;
    /// ```
    pub fn into_router(self) -> Router {
        match self.only_documents {
            Some(documents) => self.router.merge(documents),
            None => self.router,
        }
    }

    pub(crate) fn into_parts(self) -> (Router, Arc<Versions>) {
        let versions = Arc::new(Versions::of(&self.apis));
        (self.into_router(), versions)
    }
}

impl From<Router> for ApiRouter {
    fn from(router: Router) -> Self {
        Self { router, only_documents: None, apis: Vec::new() }
    }
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or_else(|_| unreachable!("because the macro knows five verbs"))
}

/// `/openapi/NAME/v1.json` and `/openapi/NAME/v1.html` for each version, and the 3.1 dialect as
/// `/openapi/NAME/v1-3.1.json`; without the name for a service that has one contract.
fn documents(api: &'static Api, is_named: bool) -> Router {
    let folder = if is_named { format!("/openapi/{}", api.name) } else { "/openapi".to_owned() };
    // The API's root, as seen from there.
    let root = if is_named { "../.." } else { ".." };
    let mut router = Router::new();
    for version in api.versions() {
        for (path, dialect) in [
            (format!("{folder}/v{version}.json"), Dialect::V3_0),
            (format!("{folder}/v{version}-3.1.json"), Dialect::V3_1),
        ] {
            router = router.route(&path, kept("application/json", move || page::json(api, version, dialect, root)));
        }
        let html = kept("text/html; charset=utf-8", move || page::html(api, version));
        router = router.route(&format!("{folder}/v{version}.html"), html);
    }
    router
}

/// Serves a text that is made when it is asked for first.
fn kept(media_type: &'static str, make: impl FnOnce() -> String + Send + 'static) -> MethodRouter {
    let text = Arc::new(LazyLock::new(move || Bytes::from(make())));
    axum::routing::get(async move || ([(CONTENT_TYPE, media_type)], Bytes::clone(&text)))
}
