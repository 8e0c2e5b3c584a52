//! What `#[samspill::function]` writes a `main` of.

use std::process::ExitCode;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, on};

use crate::contract::Received;
use crate::{Call, Problem, Service};

/// Where a function is served.
const PATH: &str = "/";

/// Serves a function until the process is asked to stop.
pub fn run(name: &str, function: impl FnOnce(Service) -> MethodRouter) -> ExitCode {
    Service::new(name).run(async |service: Service| -> Result<(), crate::Error> {
        let router = Router::new().route(PATH, function(service.clone()));
        service.serve(router).await
    })
}

/// A function of the whole request, whatever its method.
pub fn of_request<H: Handler<T, ()>, T: 'static>(function: H) -> MethodRouter {
    any(function)
}

/// A function of a call and arguments: POST, and GET where no argument is the body.
pub fn of_arguments<F, Fut>(takes_body: bool, function: F) -> MethodRouter
where
    F: Fn(Call, Received) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Problem>> + Send,
{
    let methods = if takes_body { MethodFilter::POST } else { MethodFilter::POST.or(MethodFilter::GET) };
    on(methods, async move |call: Call, request: Request| {
        function(call, Received::new(request)).await.unwrap_or_else(IntoResponse::into_response)
    })
}
