//! A service with nothing around it: `cargo run -p samspill --example hello`, then `curl localhost:8080/v1/hello/Ada`.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use samspill::extract::{Json, Path};
use samspill::{Call, Service};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "Hello".to_owned()
}

#[derive(Serialize)]
struct Greeting {
    text: String,
    trace_id: Option<String>,
}

fn main() -> ExitCode {
    Service::new("hello").run(async |service: Service| -> Result<(), samspill::Error> {
        let settings: Settings = service.settings()?;
        let greet = async move |call: Call, Path(name): Path<String>| {
            let text = format!("{}, {name}!", settings.greeting);
            Json(Greeting { text, trace_id: call.trace_id().map(str::to_owned) })
        };
        service.serve(Router::new().route("/v1/hello/{name}", get(greet))).await
    })
}
