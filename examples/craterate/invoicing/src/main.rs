//! invoicing: what is owed and what is paid.

mod app;
mod store;

use std::process::ExitCode;

use craterate_common::instance;
use samspill::{Secret, Service};
use serde::Deserialize;

use crate::store::Store;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Where the invoices are: `sqlite://` and a path, or `postgres://…`.
    database_url: Secret<String>,
    /// Our name among the copies, set by the runtime.
    samspill_instance: Option<String>,
}

fn main() -> ExitCode {
    Service::new("invoicing").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        let store = Store::open(settings.database_url.expose()).await?;
        let router = instance::named(app::router(store.clone()), settings.samspill_instance.as_deref());
        let served = service.serve(router).await;
        store.close().await;
        served
    })
}
