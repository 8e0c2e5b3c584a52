//! parcel-booking: who sends what to whom. The one service that needs all the others.

mod app;
mod complete;
mod store;

use std::process::ExitCode;

use craterate_common::instance;
use samspill::{Secret, Service};
use serde::Deserialize;

use crate::app::App;
use crate::complete::Services;
use crate::store::Store;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Where the bookings are: `sqlite://` and a path, or `postgres://…`.
    database_url: Secret<String>,
    /// Our name among the copies, set by the runtime.
    samspill_instance: Option<String>,
}

fn main() -> ExitCode {
    Service::new("parcel-booking").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        let store = Store::open(settings.database_url.expose()).await?;
        let services = Services::of(&service);
        let app = App { store: store.clone(), services: services.clone() };
        let router = instance::named(app::router(app), settings.samspill_instance.as_deref());
        let finisher = service.clone();
        let served = tokio::select! {
            served = service.serve(router) => served,
            never = complete::run(&finisher, &store, &services) => match never {},
        };
        store.close().await;
        served
    })
}
