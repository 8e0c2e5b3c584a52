//! Where a `DATABASE_URL` leads.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::{OpenError, System};

/// The parameters of a PostgreSQL URL. The driver ignores others, and puts them into the log, password or not.
const PARAMETERS: [&str; 17] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// A database that may be there or not.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) system: System,
    /// How to say where it is: without the password.
    pub(crate) place: String,
    /// What must be there before it can be opened.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) options: AnyConnectOptions,
}

impl Location {
    pub(crate) fn of(url: &str) -> Result<Self, OpenError> {
        if let Some(("postgres" | "postgresql", rest)) = url.split_once("://") {
            return postgres(url, rest);
        }
        match url.split_once(':') {
            Some(("sqlite", rest)) => sqlite(rest.strip_prefix("//").unwrap_or(rest), url),
            _ => Err(OpenError::Url { url: without_secret(url) }),
        }
    }
}

/// The path is taken as it is, not percent-decoded: it is put together from a folder's name.
fn sqlite(path: &str, url: &str) -> Result<Location, OpenError> {
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err(OpenError::Url { url: url.to_owned() });
    }
    // With its slashes encoded too it is no path to a URL parser, which would shorten `a/../b`.
    let driver_url = format!("sqlite:{}?mode=rwc", utf8_percent_encode(path, NON_ALPHANUMERIC));
    let options = AnyConnectOptions::from_str(&driver_url).map_err(|_error| OpenError::Url { url: url.to_owned() })?;
    let folder = Path::new(path).parent().map(Path::to_path_buf);
    Ok(Location { system: System::Sqlite, place: path.to_owned(), folder, options })
}

fn postgres(url: &str, after_scheme: &str) -> Result<Location, OpenError> {
    let refuse = |problem: String| OpenError::PostgresUrl { problem };
    let wrong = |error: sqlx::Error| match error {
        sqlx::Error::Configuration(source) => refuse(source.to_string()),
        _other => refuse("it cannot be read".to_owned()),
    };
    let options = AnyConnectOptions::from_str(url).map_err(wrong)?;
    // Where a password has a bare `/`, `?` or `#`, its rest would be taken for a database, a port or a parameter, and shown.
    let after_host = after_scheme.find(['/', '?', '#']).and_then(|at| after_scheme.get(at..)).unwrap_or_default();
    if after_host.contains(['@', '#']) {
        return Err(refuse("there is a `/`, `?` or `#` before its `@`".to_owned()));
    }
    let parameters = options.database_url.query_pairs();
    let unknown = parameters.map(|(name, _)| name).find(|name| !is_known(name));
    if let Some(name) = unknown {
        return Err(refuse(format!("it has the parameter `{name}`, which is not known")));
    }
    let server = PgConnectOptions::from_str(url).map_err(wrong)?;
    let database = server.get_database().unwrap_or(server.get_username());
    let place = match server.get_socket() {
        Some(socket) => format!("`{database}` at {}", socket.display()),
        None => format!("`{database}` at {}:{}", server.get_host(), server.get_port()),
    };
    Ok(Location { system: System::Postgres, place, folder: None, options })
}

fn is_known(parameter: &str) -> bool {
    PARAMETERS.contains(&parameter) || parameter.starts_with("options[")
}

/// The scheme, of which we know that it is no secret.
fn without_secret(url: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    match url.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}://…"),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Location::of(url).map(|location| location.place).expect_err(url).to_string()
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (url, expected) in [
            ("sqlite:///srv/my data/50%/a.db", "/srv/my data/50%/a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite:///srv/%41/../ö#.db", "/srv/%41/../ö#.db"),
        ] {
            let Location { system, place, options, .. } = Location::of(url).unwrap();
            assert_eq!((system, place.as_str()), (System::Sqlite, expected));
            let driver = sqlx::sqlite::SqliteConnectOptions::from_str(options.database_url.as_str()).unwrap();
            assert_eq!(driver.get_filename(), Path::new(expected));
        }
    }

    #[test]
    fn a_server_is_named_without_its_password() {
        for (url, expected) in [
            ("postgres://me:secret@db.example:5433/craterate", "`craterate` at db.example:5433"),
            ("postgresql://me:secret@db.example/a", "`a` at db.example:5432"),
            ("postgres://me:se%40cret@h", "`me` at h:5432"),
            ("postgres://me:secret@localhost/a?host=/run/postgresql", "`a` at /run/postgresql"),
            ("postgres:///a?host=/run/postgresql&password=secret", "`a` at /run/postgresql"),
        ] {
            let Location { system, place, .. } = Location::of(url).unwrap();
            assert_eq!((system, place.as_str()), (System::Postgres, expected));
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["", "a.db", "sqlite://", "sqlite::memory:", "sqlite://a.db?mode=ro", "mysql://h/d"] {
            let error = refused(url);
            assert!(error.contains("sqlite:///var") && error.contains("postgres://user:password@host"), "{error}");
        }
        assert!(refused("mysql://me:secret@h/d").starts_with("DATABASE_URL `mysql://…` is neither"));
    }

    #[test]
    fn a_refusal_shows_no_password() {
        for url in [
            "mysql://me:secret@h/d",
            "host=h password=secret",
            "me:secret@h",
            "postgres://me:secret@h:port/d",
            "postgres://me:se/secret@h/d",
            "postgres://me:p@secret/@h/d",
            "postgres://me:12/secret@h/d",
            "postgres:me:secret@h/d",
            "postgres:/me:secret@h/d",
            "postgres://me:secret@/d",
            "postgres://me:12?secret@h/d",
            "postgres://me:12?a=b&secret@h/d",
            "postgres://me:12#secret@h/d",
            "postgres://secret#/@h/d",
            "postgres://h/d?passwd=secret",
            "postgres://h/d?sslmode=never&password=secret",
        ] {
            let error = refused(url);
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(refused("postgres://h/d?passwd=secret").contains("parameter `passwd`"));
        assert!(refused("postgres://me:secret@h:port/d").contains("port"));
    }
}
