//! A service with nothing around it: `cargo run -p samspill --example hello`, then `curl localhost:8080/v1/hello/Ada`.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use samspill::extract::{Json, Path};
use samspill::{Call, Secret, Service};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Settings {
    #[serde(default = "hello")]
    greeting: String,
    /// Whoever says it is greeted as a friend.
    password: Option<Secret<String>>,
    #[serde(default)]
    is_loud: bool,
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
            let is_friend = settings.password.as_ref().is_some_and(|password| *password.expose() == name);
            let text = format!("{}, {}!", settings.greeting, if is_friend { "friend" } else { &name });
            let text = if settings.is_loud { text.to_uppercase() } else { text };
            Json(Greeting { text, trace_id: call.trace_id().map(str::to_owned) })
        };
        service.serve(Router::new().route("/v1/hello/{name}", get(greet))).await
    })
}
