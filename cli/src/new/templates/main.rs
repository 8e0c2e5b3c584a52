//! {{name}}: greets people.

mod app;

use std::process::ExitCode;

use samspill::Service;

fn main() -> ExitCode {
    Service::new("{{name}}").run(async |service: Service| -> Result<(), samspill::Error> {
        service.serve(app::router()).await
    })
}
