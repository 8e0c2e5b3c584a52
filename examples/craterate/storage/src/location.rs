//! Where a `DATABASE_URL` leads.

use std::path::PathBuf;

use crate::OpenError;

/// The file of a URL. The path is taken as it is, not percent-decoded: it is put together from a folder's name.
pub(crate) fn path(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    match path {
        Some(path) if !path.is_empty() && path != ":memory:" && !path.contains('?') => Ok(PathBuf::from(path)),
        _ => Err(OpenError::Url { url: without_secret(url) }),
    }
}

/// The URL with `***` for what stands before an `@`.
fn without_secret(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (url, expected) in [
            ("sqlite:///srv/my data/50%/a.db", "/srv/my data/50%/a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:a.db", "a.db"),
        ] {
            assert_eq!(path(url).unwrap(), PathBuf::from(expected));
        }
    }

    #[test]
    fn other_urls_are_refused_without_their_password() {
        for url in ["", "a.db", "sqlite://", "sqlite::memory:", "sqlite://a.db?mode=ro", "mysql://h/d"] {
            assert!(path(url).is_err(), "{url}");
        }
        let error = path("postgres://user:secret@host/db").unwrap_err().to_string();
        assert!(error.contains("postgres://***@host/db") && !error.contains("secret"), "{error}");
    }
}
