//! Settings: what the surroundings say, read into a service's own struct and into [`Outside`], the framework's.
//!
//! The only module that reads the environment and the arguments. A service's struct is the one definition of its
//! settings (`definition`): each field is a flag (`arguments`), a variable and a key of the file (`de`).

mod arguments;
mod de;
mod definition;
mod secret;
mod show;

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use samspill_observability::span::Resource;
use samspill_observability::telemetry::{self, LogFormat};
use serde::de::DeserializeOwned;

pub(crate) use self::arguments::Arguments;
use self::arguments::Wish;
use self::de::{Field, File};
pub use self::secret::Secret;

/// Names the file with the service's settings.
const SETTINGS_FILE: &str = "SAMSPILL_SETTINGS";

/// Why there are no settings: all that is wrong with them, or a flag that asks for something else.
///
/// `main` passes it on with `?`. [`Service::run`](crate::Service::run) then logs the mistakes and exits with 64, or
/// prints the answer and exits with 0.
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// struct Settings { base_cents: u64, database_url: String }
///
/// let service = samspill::test::service("invoicing", [("BASE_CENTS", "many")]);
/// let error = service.settings::<Settings>().unwrap_err();
/// let places: Vec<&str> = error.mistakes().iter().map(|mistake| mistake.place.as_str()).collect();
/// assert_eq!(places, ["BASE_CENTS", "DATABASE_URL"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Wrong(Vec<Mistake>),
    /// A flag such as `--help` asks for this text.
    Answer(String),
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is: a flag, the name of a variable, or `file: key`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl Mistake {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl SettingsError {
    /// The mistakes: of the framework's variables, of the flags, of the file, then in the order of the struct's fields.
    pub fn mistakes(&self) -> &[Mistake] {
        match &self.0 {
            Reason::Wrong(mistakes) => mistakes,
            Reason::Answer(_) => &[],
        }
    }

    /// What `--help`, `--check-config` or `--print-config` prints, if nothing is wrong but that one of them was given.
    pub fn answer(&self) -> Option<&str> {
        match &self.0 {
            Reason::Wrong(_) => None,
            Reason::Answer(text) => Some(text),
        }
    }

    fn wrong(mistakes: Vec<Mistake>) -> Self {
        Self(Reason::Wrong(mistakes))
    }

    fn one(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::wrong(vec![Mistake::new(place, problem)])
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.answer().is_some() {
            return f.write_str("a flag asks for an answer, so the service does not run");
        }
        f.write_str("wrong settings")?;
        for Mistake { place, problem } in self.mistakes() {
            write!(f, "; {place}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// Where a service's settings come from. Clones share what came of the first reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    environment: Environment,
    arguments: Arguments,
    reading: Arc<OnceLock<Result<Read, SettingsError>>>,
}

/// What the framework itself wants to know of settings that were read.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// `db.system.name` of the setting `database_url`, if there is one.
    database_system: Option<&'static str>,
}

/// The settings of a service that reads none.
#[derive(serde::Deserialize)]
struct NoSettings {}

impl Sources {
    pub(crate) fn new(environment: Environment, arguments: Arguments) -> Self {
        Self { environment, arguments, reading: Arc::default() }
    }

    /// Reads the settings of the service with this name.
    pub(crate) fn read<T: DeserializeOwned>(&self, service: &str) -> Result<T, SettingsError> {
        let outcome = self.read_now::<T>(service);
        let reading = match &outcome {
            Ok((_, read)) => Ok(*read),
            Err(error) => Err(error.clone()),
        };
        // Only the first counts.
        let _was_read_before = self.reading.set(reading);
        outcome.map(|(settings, _)| settings)
    }

    /// To be asked before anything is served. What the service has not read is read as if it had no settings, so that
    /// no flag is passed over.
    ///
    /// # Errors
    /// The settings are not sound, or a flag asks for something else.
    pub(crate) fn check(&self, service: &str) -> Result<(), SettingsError> {
        match self.reading.get() {
            None => self.read::<NoSettings>(service).map(|NoSettings {}| ()),
            Some(reading) => reading.clone().map(|_read| ()),
        }
    }

    /// The flag's answer, if that is what came of the reading.
    pub(crate) fn answer(&self) -> Option<&str> {
        self.reading.get()?.as_ref().err()?.answer()
    }

    pub(crate) fn database_system(&self) -> Option<&'static str> {
        self.reading.get()?.as_ref().ok()?.database_system
    }

    fn read_now<T: DeserializeOwned>(&self, service: &str) -> Result<(T, Read), SettingsError> {
        let settings = definition::of::<T>()?;
        let given = self.arguments.given(&settings);
        if given.wish == Some(Wish::Help) {
            return Err(SettingsError(Reason::Answer(show::help::<T>(service, &settings))));
        }

        let (_, mut mistakes) = Outside::read(&self.environment);
        mistakes.extend(given.mistakes.iter().cloned());
        let named = given.settings_file.map(|path| (path, format!("--settings {path}")));
        let named =
            named.or_else(|| self.environment.get(SETTINGS_FILE).map(|path| (path, format!("{SETTINGS_FILE}={path}"))));
        let mut is_complete = true;
        let file = named.and_then(|(path, place)| {
            File::read(path, place)
                .map_err(|mistake| {
                    mistakes.push(mistake);
                    is_complete = false;
                })
                .ok()
        });
        mistakes.extend(file.iter().flat_map(|file| de::unknown_keys(&settings, file)));

        let field = |setting| Field::of(setting, &given, &self.environment, file.as_ref());
        let fields: Vec<Field<'_>> = settings.iter().filter_map(field).collect();
        let values = de::read::<T>(&settings, &fields, is_complete, mistakes)?;
        let answer = match given.wish {
            Some(Wish::PrintConfig) => show::config::<T>(&settings, &fields),
            Some(Wish::CheckConfig) => "settings are sound\n".to_owned(),
            Some(Wish::Help) | None => {
                let url = fields.iter().find(|field| field.name == "database_url").and_then(Field::text);
                return Ok((values, Read { database_system: url.map(|url| database_system(Some(url))) }));
            }
        };
        Err(SettingsError(Reason::Answer(answer)))
    }
}

/// The variables that a service sees. A map, so that tests need not touch the process's own.
#[derive(Clone, Default)]
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
}

/// Without the values: there are secrets among them.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
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
    /// Whether nothing is wrong with it.
    pub(crate) fn check(environment: &Environment) -> Result<(), SettingsError> {
        let (_, mistakes) = Self::read(environment);
        if mistakes.is_empty() { Ok(()) } else { Err(SettingsError::wrong(mistakes)) }
    }

    /// What the environment says, and what is wrong with it. What is wrong reaches nobody: a call must not go around
    /// the sidecar because its address is misspelt.
    pub(crate) fn read(environment: &Environment) -> (Self, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let outbound = environment.get("SAMSPILL_OUTBOUND").map(|text| {
            let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').parse();
            address.unwrap_or_else(|_error| {
                mistakes.push(Mistake::new("SAMSPILL_OUTBOUND", format!("`{text}` is not http://<address>:<port>")));
                NOBODY
            })
        });
        let is_development = match environment.get("SAMSPILL_DEVELOPMENT") {
            Some("1") => true,
            Some("0") => false,
            Some(text) => {
                mistakes.push(Mistake::new("SAMSPILL_DEVELOPMENT", format!("`{text}` is not 0 or 1")));
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
                Err(_error) => mistakes.push(Mistake::new(name, format!("`{text}` is not a port"))),
            }
        }
        let database_system = database_system(environment.get("DATABASE_URL"));
        (Self { outbound, ports, database_system, is_development }, mistakes)
    }
}

/// Port 0, where nothing listens.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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
