//! parcel-tracking: where parcels are.

mod app;
mod feed;
mod grpc;
mod store;

use std::process::ExitCode;

use craterate_common::instance;
use parcel_tracking_api::DESCRIPTORS;
use parcel_tracking_api::v1::tracking_server::TrackingServer;
use samspill::{Secret, Service};
use serde::Deserialize;

use crate::feed::Feed;
use crate::grpc::Server;
use crate::store::Store;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Where the parcels are: `sqlite://` and a path, or `postgres://…`.
    database_url: Secret<String>,
    /// Our name among the copies, set by the runtime.
    samspill_instance: Option<String>,
}

fn main() -> ExitCode {
    Service::new("parcel-tracking").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        let store = Store::open(settings.database_url.expose()).await?;
        let feed = Feed::new();
        let instance = settings.samspill_instance.as_deref();
        let server = TrackingServer::new(Server::new(store.clone(), feed.clone(), instance));
        let service = service.grpc(server).descriptors(DESCRIPTORS);
        let public = instance::named(app::router(store.clone()), instance);
        let served = tokio::select! {
            served = service.serve(public) => served,
            never = feed.run(&store) => match never {},
        };
        store.close().await;
        served
    })
}
