//! Settings: what the surroundings say, read into a service's own struct and into [`Outside`], the framework's.
//!
//! The only module that reads the environment.

mod de;

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use samspill_observability::span::Resource;
use samspill_observability::telemetry::{self, LogFormat};
use serde::de::DeserializeOwned;

/// Names the file with the service's settings.
const SETTINGS_FILE: &str = "SAMSPILL_SETTINGS";

/// What is wrong with the settings: all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    mistakes: Vec<Mistake>,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is: the name of a variable, or `file: key`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl SettingsError {
    /// The mistakes, in the order of the struct's fields.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    fn one(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { mistakes: vec![Mistake { place: place.into(), problem: problem.into() }] }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong settings")?;
        for Mistake { place, problem } in &self.mistakes {
            write!(f, "; {place}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// The variables that a service sees. A map, so that tests need not touch the process's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    /// Those of this process that are UTF-8.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How logs and traces are set up: OpenTelemetry's variables, and lines for programs where nobody looks at them.
    pub(crate) fn telemetry(&self, service_name: &str) -> telemetry::Settings {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let reads_along = std::io::stderr().is_terminal();
        telemetry::Settings {
            resource: Resource::from_attributes(service_name, attributes),
            otlp_endpoint: self.get("OTEL_EXPORTER_OTLP_ENDPOINT").filter(|url| !url.is_empty()).map(str::to_owned),
            log_filter: self.get("RUST_LOG").unwrap_or("info").to_owned(),
            log_format: if reads_along { LogFormat::Text } else { LogFormat::Json },
        }
    }

    /// The service's own settings.
    pub(crate) fn settings<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let file = match self.get(SETTINGS_FILE) {
            Some(path) => Some(de::File::read(path)?),
            None => None,
        };
        de::read(self, file.as_ref())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }
}

/// What the framework itself takes from the environment.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    /// `SAMSPILL_OUTBOUND`: the sidecar's listener.
    pub(crate) outbound: Option<SocketAddr>,
    /// `PORT` and each `PORT_<NAME>`, without repetition.
    pub(crate) ports: Vec<u16>,
    /// `db.system.name` of `DATABASE_URL`.
    pub(crate) database_system: &'static str,
    /// `SAMSPILL_DEVELOPMENT`, which `samspill up` sets; else whether there is no mesh, as for a developer's `cargo run`.
    pub(crate) is_development: bool,
}

impl Default for Outside {
    fn default() -> Self {
        Self { outbound: None, ports: Vec::new(), database_system: database_system(None), is_development: true }
    }
}

impl Outside {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let mut mistakes = Vec::new();
        let mut note = |place: &str, problem: String| mistakes.push(Mistake { place: place.to_owned(), problem });
        let outbound = environment.get("SAMSPILL_OUTBOUND").and_then(|text| {
            let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').parse();
            address.map_err(|_error| note("SAMSPILL_OUTBOUND", format!("`{text}` is not http://<address>:<port>"))).ok()
        });
        let is_development = match environment.get("SAMSPILL_DEVELOPMENT") {
            Some("1") => true,
            Some("0") => false,
            Some(text) => {
                note("SAMSPILL_DEVELOPMENT", format!("`{text}` is not 0 or 1"));
                false
            }
            None => environment.get("SAMSPILL_OUTBOUND").is_none(),
        };
        let mut ports = Vec::new();
        for (name, text) in environment.0.iter().filter(|(name, _)| *name == "PORT" || name.starts_with("PORT_")) {
            match text.parse() {
                Ok(port) if ports.contains(&port) => {}
                Ok(port) => ports.push(port),
                // Kubernetes has variables like PORT_8080_TCP=tcp://… for a Service that is called `port`.
                Err(_error) if name != "PORT" => {}
                Err(_error) => note(name, format!("`{text}` is not a port")),
            }
        }
        if mistakes.is_empty() {
            let database_system = database_system(environment.get("DATABASE_URL"));
            Ok(Self { outbound, ports, database_system, is_development })
        } else {
            Err(SettingsError { mistakes })
        }
    }
}

/// The conventions' name for the database at a URL.
fn database_system(url: Option<&str>) -> &'static str {
    match url.and_then(|url| url.split(':').next()) {
        Some("sqlite") => "sqlite",
        Some("postgres" | "postgresql") => "postgresql",
        Some("mysql") => "mysql",
        Some("mariadb") => "mariadb",
        _ => "other_sql",
    }
}

#[cfg(test)]
mod tests;
