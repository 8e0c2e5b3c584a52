//! The gRPC services of a service, and those that the server adds: health always, reflection in development.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::middleware::map_request;
use axum::{Extension, Router};
use futures_util::future::ready;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyStream, StreamBody};
use prost::Message;
use prost_types::FileDescriptorSet;
use samspill_net::drain::DrainWatch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer, SERVICE_NAME as HEALTH};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME as REFLECTION;
use tonic_reflection::pb::v1alpha::server_reflection_server::SERVICE_NAME as REFLECTION_ALPHA;
use tonic_reflection::server::Builder;

use crate::service::GrpcService;

/// What a service serves by gRPC.
#[derive(Clone, Default)]
pub(crate) struct GrpcServices {
    routes: Routes,
    names: Vec<&'static str>,
    /// Encoded `FileDescriptorSet`s.
    descriptors: Vec<&'static [u8]>,
}

/// Without the bytes of the descriptors.
impl fmt::Debug for GrpcServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcServices").field(&self.names).finish()
    }
}

/// Descriptors that reflection cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescriptorsError {
    #[error("the bytes given to `Service::descriptors` are no FileDescriptorSet")]
    Malformed(#[source] prost::DecodeError),
    #[error("the descriptors given to `Service::descriptors` are empty")]
    Empty,
    #[error(
        "the descriptors given to `Service::descriptors` have `{file}` without `{import}`, which it imports; \
         write them with their imports (`protox::compile` does, protoc needs `--include_imports`)"
    )]
    MissingImport { file: String, import: String },
    #[error("reflection cannot serve the descriptors given to `Service::descriptors`")]
    Unusable(#[source] tonic_reflection::server::Error),
}

impl GrpcServices {
    pub(crate) fn add<S: GrpcService>(mut self, service: S) -> Self {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    pub(crate) fn describe(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors.push(descriptors);
        self
    }

    /// The service's own routes, and the server's. The latter take a [`DrainWatch`] from each request's extensions,
    /// which [`with_drain`] puts there.
    ///
    /// Descriptors are checked whether they are served or not: a mistake must not wait for a developer.
    pub(super) fn into_routers(self, is_development: bool) -> Result<(Router, Router), DescriptorsError> {
        let mut added = Routes::from(Router::new());
        let reflection = self.reflection()?;
        if let Some(reflection) = reflection.filter(|_| is_development && !self.names.is_empty()) {
            added = reflection;
        }
        if !self.names.is_empty() && !self.names.contains(&HEALTH) {
            added = added.add_service(HealthServer::new(Readiness { names: self.names.into() }));
        }
        Ok((self.routes.into_axum_router(), added.into_axum_router()))
    }

    /// Reflection of the mounted services and of our own. None without descriptors: a tool is better told that there is
    /// no reflection than given names and nothing behind them.
    fn reflection(&self) -> Result<Option<Routes>, DescriptorsError> {
        if self.descriptors.is_empty() {
            return Ok(None);
        }
        check(&self.descriptors)?;
        let builder = || {
            let ours = [
                tonic_health::pb::FILE_DESCRIPTOR_SET,
                tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
                tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            ];
            let names: HashSet<_> = self.names.iter().copied().chain([HEALTH, REFLECTION, REFLECTION_ALPHA]).collect();
            let builder = Builder::configure().include_reflection_service(false);
            let builder = self
                .descriptors
                .iter()
                .copied()
                .chain(ours)
                .fold(builder, |builder, encoded| builder.register_encoded_file_descriptor_set(encoded));
            names.into_iter().fold(builder, |builder, name| builder.with_service_name(name))
        };
        let mut routes = Routes::from(Router::new());
        if !self.names.contains(&REFLECTION) {
            routes = routes.add_service(builder().build_v1().map_err(DescriptorsError::Unusable)?);
        }
        if !self.names.contains(&REFLECTION_ALPHA) {
            routes = routes.add_service(builder().build_v1alpha().map_err(DescriptorsError::Unusable)?);
        }
        Ok(Some(routes.into_axum_router().layer(map_request(until_drain)).into()))
    }
}

/// The routes that the server adds, for a server that can drain.
pub(super) fn with_drain(added: Router, drain: &DrainWatch) -> Router {
    added.layer(Extension(drain.clone()))
}

/// Whether every set is one, and has what its files import.
fn check(descriptors: &[&[u8]]) -> Result<(), DescriptorsError> {
    let mut files = Vec::new();
    for encoded in descriptors {
        let set = FileDescriptorSet::decode(*encoded).map_err(DescriptorsError::Malformed)?;
        if set.file.is_empty() {
            return Err(DescriptorsError::Empty);
        }
        files.extend(set.file);
    }
    let names: HashSet<_> = files.iter().map(prost_types::FileDescriptorProto::name).collect();
    for file in &files {
        if let Some(import) = file.dependency.iter().find(|import| !names.contains(import.as_str())) {
            let (file, import) = (file.name().to_owned(), import.clone());
            return Err(DescriptorsError::MissingImport { file, import });
        }
    }
    Ok(())
}

/// Ends the questions to reflection when the drain starts; its answers end with them.
async fn until_drain(request: HttpRequest) -> HttpRequest {
    let Some(drain) = request.extensions().get::<DrainWatch>().cloned() else { return request };
    request.map(|body| {
        let frames = BodyStream::new(body).take_until(async move { drain.started().await });
        Body::new(StreamBody::new(frames))
    })
}

/// `grpc.health.v1.Health`: what `/readyz` says, of every service alike.
///
/// Not `tonic_health::server`, whose watches never end.
struct Readiness {
    names: Arc<[&'static str]>,
}

impl Readiness {
    /// What is known of the service that a request asks for, and the drain that changes it.
    fn of(&self, request: &Request<HealthCheckRequest>) -> (Option<ServingStatus>, Option<DrainWatch>) {
        let service = request.get_ref().service.as_str();
        let drain = request.extensions().get::<DrainWatch>().cloned();
        let is_draining = drain.as_ref().is_some_and(DrainWatch::is_draining);
        let status = if is_draining { ServingStatus::NotServing } else { ServingStatus::Serving };
        ((service.is_empty() || self.names.contains(&service)).then_some(status), drain)
    }
}

#[tonic::async_trait]
impl Health for Readiness {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match self.of(&request) {
            (Some(status), _) => Ok(Response::new(answer(status))),
            (None, _) => Err(Status::not_found("no such service")),
        }
    }

    /// What is, and once the drain starts what then is; nothing else ever changes.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (status, drain) = self.of(&request);
        let now = status.unwrap_or(ServingStatus::ServiceUnknown);
        let then = status.filter(|status| *status == ServingStatus::Serving).map(|_| ServingStatus::NotServing);
        let change = stream::once(async move {
            match drain {
                Some(drain) => drain.started().await,
                None => std::future::pending().await,
            }
            then
        });
        let statuses = stream::once(ready(Some(now))).chain(change);
        Ok(Response::new(statuses.filter_map(|status| ready(status.map(|status| Ok(answer(status))))).boxed()))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
