//! What must hold for a request of either version, once it has been parsed.

use std::net::Ipv6Addr;

use http::header::{CONNECTION, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::Malformed;

/// The longest method that anybody has registered has 17 letters.
const MAX_METHOD_BYTES: usize = 32;

/// These speak of one connection of HTTP/1, and have no place in HTTP/2 (RFC 9113 §8.2.2).
const CONNECTION_SPECIFIC: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Checks what hyper does not: the method, the target's form, the authority, and headers with a fixed meaning.
///
/// Afterwards a request has at most one authority, a valid one, in its URI or in its `Host` header. Only HTTP/1.0 may have
/// none.
pub fn check_request(request: &Parts) -> Result<(), Malformed> {
    check_method(&request.method)?;
    check_target(request)?;
    check_authority(request)?;
    check_expectation(request)?;
    if request.version == Version::HTTP_2 { check_http2(request) } else { Ok(()) }
}

fn check_method(method: &Method) -> Result<(), Malformed> {
    let method = method.as_str().as_bytes();
    if method.len() > MAX_METHOD_BYTES {
        return Err(Malformed::new(StatusCode::NOT_IMPLEMENTED, "nobody knows so long a method"));
    }
    if !method.iter().all(|&byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Err(Malformed::bad("the method is not in upper-case letters"));
    }
    Ok(())
}

/// RFC 9112 §3.2: `/path`, `http://authority/path`, `authority:port` for CONNECT only, and `*` for OPTIONS only.
fn check_target(request: &Parts) -> Result<(), Malformed> {
    let uri = &request.uri;
    if request.method == Method::CONNECT {
        let is_authority = uri.authority().is_some() && uri.port_u16().is_some() && uri.path_and_query().is_none();
        return if is_authority {
            Ok(())
        } else {
            Err(Malformed::bad("the target of CONNECT is not a host and a port"))
        };
    }
    if uri.path() == "*" {
        let is_options = request.method == Method::OPTIONS;
        return if is_options { Ok(()) } else { Err(Malformed::bad("the target `*` is for OPTIONS only")) };
    }
    match (uri.scheme_str(), uri.authority()) {
        (None, None) | (Some("http" | "https"), Some(_)) => {}
        (None, Some(_)) => return Err(Malformed::bad("the target is a host and a port, which is for CONNECT only")),
        _ => return Err(Malformed::bad("the target's scheme is not http")),
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Malformed::bad(
            "the path does not begin with a slash, or has other characters than a URI may have",
        ));
    }
    Ok(())
}

fn check_authority(request: &Parts) -> Result<(), Malformed> {
    let mut hosts = values(&request.headers, &HOST);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::bad("there is more than one host"));
    }
    let host = host.map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    if !host.is_none_or(is_authority) || !authority.is_none_or(is_authority) {
        return Err(Malformed::bad("the host is not a name or an address, with or without a port"));
    }
    match (authority, host) {
        (None, None) if request.version != Version::HTTP_10 => Err(Malformed::bad("there is no host")),
        // What CONNECT asks for is in its target; some clients put the proxy into `Host`.
        (Some(authority), Some(host)) if request.method != Method::CONNECT => {
            let same = without_default_port(authority).eq_ignore_ascii_case(without_default_port(host));
            if same { Ok(()) } else { Err(Malformed::bad("the host and the target's authority differ")) }
        }
        _ => Ok(()),
    }
}

/// The values of a header. A walk past a dozen names costs less than to look one up.
fn values<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.iter().filter(move |(there, _)| *there == name).map(|(_, value)| value)
}

/// A registered name in ASCII without percent-encoding, or an address, without user information or zone.
fn is_authority(text: &str) -> bool {
    let (is_host, port) = if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        (address.parse::<Ipv6Addr>().is_ok(), rest)
    } else {
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), port)
    };
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
}

fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").unwrap_or(authority)
}

fn check_expectation(request: &Parts) -> Result<(), Malformed> {
    let mut expectations = values(&request.headers, &EXPECT);
    let is_continue = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if expectations.next().is_none_or(is_continue) && expectations.next().is_none() {
        return Ok(());
    }
    Err(Malformed::new(StatusCode::EXPECTATION_FAILED, "the only expectation here is 100-continue, once"))
}

fn check_http2(request: &Parts) -> Result<(), Malformed> {
    if CONNECTION_SPECIFIC.iter().any(|name| request.headers.contains_key(name)) {
        return Err(Malformed::bad("a header of HTTP/1 connections has no place in HTTP/2"));
    }
    if request.headers.get_all(TE).iter().any(|value| value != "trailers") {
        return Err(Malformed::bad("in HTTP/2 the only `te` is `trailers`"));
    }
    Ok(())
}
