//! Which header fields a proxy removes, adds and believes.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use samspill_model::intent::AppProtocol;

use crate::reason::{Failure, Reason};

/// Who called, as the inbound sidecar has seen it proven: `By=<own identity>;URI=<caller's>`.
pub const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The address of the stranger, set by the edge.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The scheme that the stranger used, set by the edge.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The host that the stranger named, set by the edge.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What a stranger may claim, and nobody may believe: removed by the edge. `samspill-timeout` is not one of them: anybody may
/// say how long they wait.
const CLAIMS: [&str; 14] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-client-cert",
    "x-real-ip",
    "x-request-priority",
    "samspill-priority",
    "samspill-attempt",
    "traceparent",
    "tracestate",
    "baggage",
    "x-samspill-reason",
];

/// A `Connection` field that nominates for removal what the mesh, or the application's safety, stands on
/// (the class of CVE-2022-31813).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Connection field nominates a field that must not be removed on the way")]
pub struct ForbiddenNomination;

/// Removes the fields that are for one hop only (RFC 9110 §7.6.1), those that `Connection` nominates included. `Trailer`
/// is not one of them: without it, HTTP/1 would send no trailers on.
///
/// # Errors
/// A nominated field must not be removed: answer 400 `malformed`.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) -> Result<(), ForbiddenNomination> {
    if headers.contains_key(CONNECTION) {
        let nominated: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            // `te` has a rule of its own, below.
            .filter(|name| name != "close" && name != TE)
            .collect();
        for name in nominated {
            if [HOST, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE].contains(&name) || CLAIMS.contains(&name.as_str()) {
                return Err(ForbiddenNomination);
            }
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TRANSFER_ENCODING,
        UPGRADE,
        HTTP2_SETTINGS,
    ] {
        headers.remove(name);
    }
    // gRPC needs to say that it reads trailers; any other coding is for one hop.
    if let Some(te) = headers.remove(TE)
        && te.as_bytes().split(|byte| *byte == b',').any(|coding| coding.trim_ascii() == b"trailers")
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Removes all that a stranger claims about identity, forwarding, priority or sampling.
pub fn remove_claims(headers: &mut HeaderMap) {
    for name in CLAIMS {
        headers.remove(name);
    }
}

/// Removes from trailers what may only stand in a header section (RFC 9110 §6.5.1), or would be believed there.
pub fn remove_forbidden_trailers(trailers: &mut HeaderMap) {
    for name in [HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, AUTHORIZATION, TE, CONNECTION, TRAILER] {
        trailers.remove(name);
    }
    for name in CLAIMS {
        trailers.remove(name);
    }
}

/// Gives the request the form that the endpoint's protocol wants: HTTP/1 has a path and `Host` (RFC 9112 §3.2), HTTP/2 a
/// whole URI (RFC 9113 §8.3.1).
///
/// # Errors
/// [`Reason::Malformed`]: the path and the authority make no URI.
pub fn adapt<B>(request: &mut Request<B>, authority: &Authority, protocol: AppProtocol) -> Result<(), Failure> {
    let malformed = |error: http::Error| Failure::new(Reason::Malformed).caused_by(error);
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    match protocol {
        AppProtocol::Http1 => {
            *request.version_mut() = Version::HTTP_11;
            *request.uri_mut() = path.into();
            let host = HeaderValue::from_str(authority.as_str()).map_err(|error| malformed(error.into()))?;
            request.headers_mut().insert(HOST, host);
            join_cookies(request.headers_mut());
        }
        AppProtocol::Http2 => {
            let uri = Uri::builder().scheme("http").authority(authority.clone()).path_and_query(path);
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = uri.build().map_err(malformed)?;
            request.headers_mut().remove(HOST);
        }
    }
    Ok(())
}

/// HTTP/2 may send each cookie in a field of its own, HTTP/1 may not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Whether a message is of gRPC, by its content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return false };
    let Some(rest) = content_type.as_bytes().strip_prefix(b"application/grpc") else { return false };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn what_is_for_one_hop_stays_behind() {
        let mut fields = headers(&[
            ("connection", "close, x-hop, te"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("x-end-to-end", "stays"),
        ]);
        assert_eq!(remove_hop_by_hop(&mut fields), Ok(()));
        assert_eq!(fields, headers(&[("te", "trailers"), ("x-end-to-end", "stays")]));
    }

    #[test]
    fn a_stranger_may_say_how_long_it_waits_but_not_how_much_it_matters() {
        let mut fields =
            headers(&[("samspill-timeout", "2S"), ("samspill-priority", "critical"), ("samspill-attempt", "9")]);
        remove_claims(&mut fields);
        assert_eq!(fields, headers(&[("samspill-timeout", "2S")]));
    }

    #[test]
    fn cookies_are_one_field_in_http1() {
        let request = || Request::get("http://a/").header("cookie", "a=1").header("cookie", "b=2").body(()).unwrap();
        let authority = Authority::from_static("a");
        for (protocol, expected) in [(AppProtocol::Http1, &["a=1; b=2"][..]), (AppProtocol::Http2, &["a=1", "b=2"][..])]
        {
            let mut request = request();
            adapt(&mut request, &authority, protocol).unwrap();
            assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_must_not_be_removed_cannot_be_nominated() {
        for name in ["Host", "Authorization", "x-forwarded-client-cert", "traceparent"] {
            let mut fields = HeaderMap::new();
            fields.insert(CONNECTION, HeaderValue::from_static(name));
            assert_eq!(remove_hop_by_hop(&mut fields), Err(ForbiddenNomination), "{name}");
        }
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&headers(&[("content-type", value)])), expected, "{value}");
        }
    }
}
