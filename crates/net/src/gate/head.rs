//! The head of an HTTP/1 request, line by line, as its bytes come in.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::string_slice)]

use http::StatusCode;
use memchr::memchr;

use super::body::Body;
use super::{Limits, Malformed, is_field_value, is_token, is_token_byte};

/// Where we are in a head, and what it has said so far. Each line is looked at once, when it is complete, so that the
/// verdict does not depend on how the bytes were cut into reads.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    /// Where the current line begins, and how far it has been searched for its end.
    line: usize,
    searched: usize,
    /// An empty line before the request line is a slip of old clients (RFC 9112 §2.2). One is passed over.
    slipped: bool,
    request: Option<RequestLine>,
    headers: usize,
    hosts: usize,
    content_length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

#[derive(Clone, Copy, Debug)]
struct RequestLine {
    version: Version,
    method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// The methods that change how a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Connect,
    /// POST, PUT and PATCH come with a body.
    WithBody,
    Other,
}

/// A head that is complete and sound.
#[derive(Debug)]
pub(super) struct Head {
    /// Its bytes, with the empty line.
    pub(super) length: usize,
    /// What follows it.
    pub(super) body: Body,
    /// The client wants to leave HTTP: CONNECT, or an `Upgrade` header.
    pub(super) wants_tunnel: bool,
}

impl HeadScanner {
    /// Looks at `bytes`, which begin where the head does and go on where the last call's ended.
    pub(super) fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Malformed> {
        let window = bytes.get(..limits.head_bytes).unwrap_or(bytes);
        loop {
            let Some(distance) = memchr(b'\n', window.get(self.searched..).unwrap_or_default()) else {
                self.searched = window.len();
                return if window.len() == limits.head_bytes { Err(self.too_large()) } else { Ok(None) };
            };
            let line_feed = self.searched.saturating_add(distance);
            let line = window.get(self.line..line_feed).and_then(|line| line.strip_suffix(b"\r"));
            let line = line.ok_or(Malformed::bad("a line ends in a bare line feed"))?;
            self.line = line_feed.saturating_add(1);
            self.searched = self.line;

            match self.request {
                None if line.is_empty() && !self.slipped => self.slipped = true,
                None => self.request = Some(request_line(line)?),
                Some(request) if line.is_empty() => return self.finish(request).map(Some),
                Some(request) => self.field(request, line, limits)?,
            }
        }
    }

    fn too_large(&self) -> Malformed {
        match self.request {
            None => Malformed::new(StatusCode::URI_TOO_LONG, "the request line is too long"),
            Some(_) => Malformed::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large"),
        }
    }

    fn field(&mut self, request: RequestLine, line: &[u8], limits: &Limits) -> Result<(), Malformed> {
        self.headers = self.headers.saturating_add(1);
        if self.headers > limits.headers {
            return Err(Malformed::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many headers"));
        }
        let (name, value) = split_field(line)?;
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => self.hosts = self.hosts.saturating_add(1),
            7 if is(b"upgrade") => self.upgrade = true,
            14 if is(b"content-length") => {
                let earlier = self.content_length.replace(content_length(value)?);
                if earlier.is_some() {
                    return Err(Malformed::bad("there is more than one content-length"));
                }
            }
            17 if is(b"transfer-encoding") => {
                if request.version == Version::Http10 {
                    return Err(Malformed::bad("HTTP/1.0 has no transfer-encoding"));
                }
                if self.chunked {
                    return Err(Malformed::bad("there is more than one transfer-encoding"));
                }
                transfer_encoding(value)?;
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, RequestLine { version, method }: RequestLine) -> Result<Head, Malformed> {
        match (version, self.hosts) {
            (_, 1) | (Version::Http10, 0) => {}
            (Version::Http11, 0) => return Err(Malformed::bad("there is no host")),
            _ => return Err(Malformed::bad("there is more than one host")),
        }
        let body = match (self.chunked, self.content_length) {
            (true, Some(_)) => return Err(Malformed::bad("there is both a transfer-encoding and a content-length")),
            (true, None) => Body::chunked(),
            (false, length) => Body::of_length(length.unwrap_or(0)),
        };
        let framed = self.chunked || self.content_length.is_some();
        match method {
            Method::Connect if framed => return Err(Malformed::bad("CONNECT has no body")),
            // A client that means "until I close" must not have its body read as the next request.
            Method::WithBody if version == Version::Http10 && !framed => {
                return Err(Malformed::bad("a body in HTTP/1.0 needs a content-length"));
            }
            _ => {}
        }
        Ok(Head { length: self.line, body, wants_tunnel: self.upgrade || method == Method::Connect })
    }
}

fn request_line(line: &[u8]) -> Result<RequestLine, Malformed> {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed::bad("the request line is not a method, a target and a version, with one space between"));
    };
    if !is_token(method) {
        return Err(Malformed::bad("the method is not a token"));
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::bad("the target is empty, or has other characters than a URI may have"));
    }
    if target.contains(&b'#') {
        return Err(Malformed::bad("the target has a fragment"));
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            let detail = "only HTTP/1.0 and HTTP/1.1 are spoken here";
            return Err(Malformed::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, detail));
        }
        _ => return Err(Malformed::bad("the version is not one of HTTP")),
    };
    let method = match method {
        b"CONNECT" => Method::Connect,
        b"POST" | b"PUT" | b"PATCH" => Method::WithBody,
        _ => Method::Other,
    };
    Ok(RequestLine { version, method })
}

/// The name and the value of a header, whitespace around the value included.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let name_length = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
    match line.split_at_checked(name_length) {
        Some((name, [b':', value @ ..])) if !name.is_empty() => {
            if is_field_value(value) {
                Ok((name, value))
            } else {
                Err(Malformed::bad("a header's value has a control character"))
            }
        }
        Some(([], [b' ' | b'\t', ..])) => Err(Malformed::bad("a header goes on in a second line")),
        Some((_, [b' ' | b'\t', ..])) => Err(Malformed::bad("there is white space before a header's colon")),
        _ => Err(Malformed::bad("a header's name is not a token with a colon after it")),
    }
}

/// Digits only, no leading zero, at most 2^64 - 1.
fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    let digits = value.trim_ascii();
    let canonical = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let number = if canonical { str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) } else { None };
    number.ok_or(Malformed::bad("the content-length is not a number"))
}

/// `chunked`, spelt exactly so: another spelling is somebody's attempt to be read differently by the next hop.
fn transfer_encoding(value: &[u8]) -> Result<(), Malformed> {
    let coding = value.strip_prefix(b" ").unwrap_or(value);
    if coding == b"chunked" {
        return Ok(());
    }
    let codings = || coding.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let are_tokens = codings().all(is_token);
    let chunked = codings().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    let is_last = codings().next_back().is_some_and(|last| last == b"chunked");
    if are_tokens && (chunked == 0 || chunked == 1 && is_last && codings().count() > 1) {
        return Err(Malformed::new(StatusCode::NOT_IMPLEMENTED, "the only transfer-encoding here is chunked"));
    }
    Err(Malformed::bad("the transfer-encoding is not exactly `chunked`"))
}
