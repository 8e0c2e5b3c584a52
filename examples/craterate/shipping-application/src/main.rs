//! shipping-application: the web page of craterate. HTML from the server; it remembers nothing and needs no JavaScript.

mod app;
mod form;
mod shop;
mod view;

use std::process::ExitCode;

use craterate_common::instance;
use samspill::Service;
use serde::Deserialize;

use crate::shop::Shop;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Our name among the copies, set by the runtime.
    samspill_instance: Option<String>,
}

fn main() -> ExitCode {
    Service::new("shipping-application").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        let instance = settings.samspill_instance.as_deref();
        let shop = Shop::of(&service, instance);
        service.serve(instance::named(app::router(shop), instance)).await
    })
}
