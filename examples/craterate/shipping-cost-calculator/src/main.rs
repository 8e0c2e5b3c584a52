//! shipping-cost-calculator: what a parcel costs. It remembers nothing.

mod app;
mod pricing;

use std::process::ExitCode;

use craterate_common::instance;
use samspill::Service;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Our name among the copies, set by the runtime.
    samspill_instance: Option<String>,
}

fn main() -> ExitCode {
    Service::new("shipping-cost-calculator").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        service.serve(instance::named(app::router(), settings.samspill_instance.as_deref())).await
    })
}
