//! Which version a request means, and what is said about one that will go.
//!
//! A version is part of the path, `/v2/quotes`, or a header, `/quotes` with `api-version: 2`. The header's form is
//! rewritten to the path's before anything is routed, so that everything behind it knows one form only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use axum::extract::Request;
use http::header::{LINK, VARY};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use super::api::{Api, Deprecation, Operation};
use crate::Problem;

/// Says which version a request means, or an answer is of.
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("api-version");

/// RFC 9745.
pub(super) const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// RFC 8594.
pub(super) const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// A version with its path: `/v2/quotes`.
pub(super) fn path(version: u32, path: &str) -> String {
    if path == "/" { format!("/v{version}") } else { format!("/v{version}{path}") }
}

/// The paths of all contracts of a service, without their versions: those of each version.
#[derive(Debug, Default)]
pub(crate) struct Versions(BTreeMap<u32, matchit::Router<()>>);

/// A path of which the parameters have no names of their own: two contracts may call them differently.
fn numbered(path: &str) -> String {
    let part = |(index, segment): (usize, &str)| match segment.starts_with('{') {
        true => format!("{{{index}}}"),
        false => segment.to_owned(),
    };
    path.split('/').enumerate().map(part).collect::<Vec<_>>().join("/")
}

/// What a request says of its version.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    /// The answer depends on the header `api-version`; the version that it named, if that is there.
    by_header: Option<Option<u32>>,
    /// Why the request means no operation: its version does not exist, or it names none. An ordinary route of that path
    /// answers all the same.
    pub(crate) refused: Option<Problem>,
}

/// The request said its version in a header.
#[derive(Clone, Copy, Debug)]
struct ByHeader;

impl Stated {
    fn of_path(refused: Option<Problem>) -> Self {
        Self { by_header: None, refused }
    }

    /// Says in an answer that its version was chosen by a header, or a cache would hand v1 to who wants v2.
    pub(crate) fn vary(&self, headers: &mut HeaderMap) {
        let Some(version) = self.by_header else { return };
        headers.append(VARY, HeaderValue::from_name(API_VERSION));
        if let Some(version) = version {
            headers.insert(API_VERSION, HeaderValue::from(version));
        }
    }
}

impl Versions {
    pub(crate) fn of(apis: &[&'static Api]) -> Self {
        let mut all: BTreeMap<u32, matchit::Router<()>> = BTreeMap::new();
        for operation in apis.iter().flat_map(|api| api.operations()) {
            for version in operation.versions() {
                // A path with a second verb is there already.
                let _known = all.entry(version).or_default().insert(numbered(operation.path), ());
            }
        }
        Self(all)
    }

    /// Reads which version a request means, and rewrites the header's form to the path's.
    pub(crate) fn dispatch<B>(&self, request: &mut Request<B>) -> Stated {
        let path = request.uri().path();
        if let Some((version, rest)) = split(path) {
            if version.is_some_and(|version| self.has(version, rest)) {
                return Stated::default();
            }
            let supported = self.supported(rest);
            return Stated::of_path((!supported.is_empty()).then(|| unsupported(StatusCode::NOT_FOUND, &supported)));
        }
        let supported = self.supported(path);
        if supported.is_empty() {
            return Stated::default();
        }
        match stated(request.headers(), &supported) {
            Ok(version) => {
                *request.uri_mut() = versioned(request.uri(), version);
                request.extensions_mut().insert(ByHeader);
                Stated { by_header: Some(Some(version)), refused: None }
            }
            Err(problem) => Stated { by_header: Some(None), refused: Some(problem) },
        }
    }

    fn has(&self, version: u32, path: &str) -> bool {
        self.0.get(&version).is_some_and(|paths| paths.at(path).is_ok())
    }

    /// The versions that have a path, the oldest first.
    fn supported(&self, path: &str) -> Vec<u32> {
        self.0.keys().copied().filter(|version| self.has(*version, path)).collect()
    }
}

/// The same with the version in the path.
fn versioned(uri: &Uri, version: u32) -> Uri {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(format!("{}{query}", path(version, uri.path()))).ok();
    // It cannot fail: what was a path still is one.
    Uri::from_parts(parts).unwrap_or_else(|_no_uri| uri.clone())
}

/// `/v2/quotes` is version 2 of `/quotes`. A number that no version can have is none.
fn split(path: &str) -> Option<(Option<u32>, &str)> {
    let rest = path.strip_prefix("/v")?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let is_version = digits > 0 && (rest.is_empty() || rest.starts_with('/'));
    is_version.then_some((self::number(number), if rest.is_empty() { "/" } else { rest }))
}

/// A version in its one spelling: `01` and `+1` would be others of `1`.
fn number(text: &str) -> Option<u32> {
    let is_one = text.bytes().all(|c| c.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_one)
}

/// The version of the header.
fn stated(headers: &HeaderMap, supported: &[u32]) -> Result<u32, Problem> {
    let mut values = headers.get_all(API_VERSION).iter();
    let newest = supported.last().copied().unwrap_or_default();
    match (values.next(), values.next()) {
        (None, _) => Err(Problem::new(StatusCode::BAD_REQUEST, "Say which version you mean")
            .kind("urn:samspill:version-missing")
            .detail(format!("Put it before the path, `/v{newest}/…`, or send `api-version: {newest}`."))
            .member("supported", supported)),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| number(text.trim()))
            .filter(|version| supported.contains(version))
            .ok_or_else(|| unsupported(StatusCode::NOT_ACCEPTABLE, supported)),
        (Some(_), Some(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "Say one version")
            .field("api-version", "is there more than once")
            .member("supported", supported)),
    }
}

fn unsupported(status: StatusCode, supported: &[u32]) -> Problem {
    Problem::new(status, "There is no such version of this")
        .kind("urn:samspill:unsupported-version")
        .member("supported", supported)
}

/// What answers of a deprecated version say besides.
#[derive(Debug)]
pub(super) struct Notice {
    deprecation: HeaderValue,
    sunset: Option<HeaderValue>,
    /// A page that says why.
    link: Option<&'static str>,
    /// The contract's name, by which its own pages are found whatever else the service serves.
    name: &'static str,
    version: u32,
    /// The next version that has the same path, or else the newest.
    successor: u32,
    /// The path in the successor, if it is there.
    path: Option<&'static str>,
}

/// What is to be said about an operation of a deprecated version.
pub(super) fn notice(api: &Api, operation: &Operation, version: u32) -> Option<Notice> {
    let Deprecation { since, sunset, link, .. } = *api.deprecation(version)?;
    let next = (version + 1..=api.newest).find(|next| {
        let has_it =
            |other: &Operation| other.path == operation.path && other.method == operation.method && other.is_in(*next);
        api.deprecation(*next).is_none() && api.operations().iter().any(has_it)
    });
    Some(Notice {
        deprecation: HeaderValue::from_str(&format!("@{}", since.1)).ok()?,
        sunset: sunset.and_then(|(_, seconds)| HeaderValue::from_str(&http_date(seconds)).ok()),
        link,
        name: api.name,
        version,
        successor: next.unwrap_or(api.newest),
        path: next.map(|_| operation.path),
    })
}

/// Seconds since 1970 as an HTTP date (RFC 9110 §5.6.7).
pub(super) fn http_date(seconds: i64) -> String {
    let since_1970 = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_1970)
}

/// How many steps a relative link must go up from a request's path to the API's root. The root may be anywhere behind an
/// edge, so no absolute path would be right.
pub(super) fn depth(request: &Request) -> usize {
    let slashes = request.uri().path().matches('/').count().saturating_sub(1);
    // The version that we have put in front was not in the path that the caller knows.
    if request.extensions().get::<ByHeader>().is_some() { slashes.saturating_sub(1) } else { slashes }
}

impl Notice {
    pub(super) fn add_to(&self, headers: &mut HeaderMap, depth: usize) {
        headers.insert(DEPRECATION, self.deprecation.clone());
        if let Some(sunset) = &self.sunset {
            headers.insert(SUNSET, sunset.clone());
        }
        let root = "../".repeat(depth);
        let mut links = match self.link {
            Some(link) => format!("<{link}>"),
            None => format!("<{root}openapi/{}/v{}.html>", self.name, self.version),
        };
        links.push_str("; rel=\"deprecation\"; type=\"text/html\", ");
        // With parameters the path is a pattern, and no place to go to.
        let _infallible = match self.path.filter(|path| !path.contains('{')) {
            Some(path) => {
                write!(links, "<{root}{}>; rel=\"successor-version\"", &self::path(self.successor, path)[1..])
            }
            None => {
                let (name, successor) = (self.name, self.successor);
                write!(links, "<{root}openapi/{name}/v{successor}.html>; rel=\"successor-version\"")
            }
        };
        if let Ok(links) = HeaderValue::from_str(&links) {
            headers.append(LINK, links);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_version_in_one_spelling() {
        assert_eq!(split("/v2/quotes"), Some((Some(2), "/quotes")));
        assert_eq!(split("/v2"), Some((Some(2), "/")));
        assert_eq!(split("/v0/quotes"), Some((None, "/quotes")));
        assert_eq!(split("/v02/quotes"), Some((None, "/quotes")));
        assert_eq!(split("/v99999999999/quotes"), Some((None, "/quotes")));
        assert_eq!(
            (number("2"), number("+2"), number("02"), number(""), number("0")),
            (Some(2), None, None, None, None)
        );
        for path in ["/quotes", "/", "/version/quotes", "/v2x/quotes", "/v/quotes"] {
            assert_eq!(split(path), None, "{path}");
        }
    }

    #[test]
    fn the_two_dates_have_two_forms() {
        assert_eq!(http_date(1_809_129_600), "Sat, 01 May 2027 00:00:00 GMT");
    }
}
