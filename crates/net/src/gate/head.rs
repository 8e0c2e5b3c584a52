//! The head of an HTTP/1 request, line by line, as its bytes come in.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::string_slice)]

use http::StatusCode;
use memchr::memchr;

use super::body::Body;
use super::{Limits, Malformed, is_field_byte, is_token, is_token_byte};

/// Where we are in a head, and what it has said so far. A head is judged by its first fault, however the bytes were cut into
/// reads.
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

/// What was read, and the bytes after it; none if its end is not there.
type Read<'a, T> = Result<Option<(T, &'a [u8])>, Malformed>;

/// A line.
enum Line<'a> {
    Empty,
    Request(RequestLine),
    Field { name: &'a [u8], value: &'a [u8] },
}

impl HeadScanner {
    /// Looks at `bytes`, which begin where the head does and go on where the last call's ended.
    pub(super) fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Malformed> {
        let window = bytes.get(..limits.head_bytes).unwrap_or(bytes);
        let is_full = window.len() == limits.head_bytes;
        // A line whose end was not there is not read again before it is: or a byte at a time would cost its square.
        let is_new = self.searched <= self.line;
        let is_worth_reading =
            is_new || is_full || memchr(b'\n', window.get(self.searched..).unwrap_or_default()).is_some();
        let mut rest = window.get(self.line..).unwrap_or_default();
        while is_worth_reading && let Some((line, after)) = self.read_line(rest)? {
            rest = after;
            self.line = window.len().saturating_sub(rest.len());
            match (self.request, line) {
                (None, Line::Empty) => self.slipped = true,
                (None, Line::Request(request)) => self.request = Some(request),
                (Some(request), Line::Field { name, value }) => self.field(request, name, value, limits)?,
                (Some(request), _) => return self.finish(request).map(Some),
                (None, _) => {}
            }
        }
        self.searched = window.len();
        if is_full { Err(self.too_large()) } else { Ok(None) }
    }

    /// The first line, with its end.
    fn read_line<'a>(&self, bytes: &'a [u8]) -> Read<'a, Line<'a>> {
        let is_first = self.request.is_none();
        let read = match bytes {
            [b'\r', b'\n', rest @ ..] if !(is_first && self.slipped) => return Ok(Some((Line::Empty, rest))),
            [] | [b'\r'] => None,
            _ if is_first => request_line(bytes)?.map(|(request, rest)| (Line::Request(request), rest)),
            _ => field_line(bytes)?,
        };
        let Some((line, rest)) = read else { return Ok(None) };
        match rest {
            [b'\r', b'\n', rest @ ..] => Ok(Some((line, rest))),
            [] | [b'\r'] => Ok(None),
            [b'\n', ..] => Err(BARE_LINE_FEED),
            _ if is_first => Err(NOT_A_REQUEST_LINE),
            _ => Err(Malformed::bad("a header's value has a control character")),
        }
    }

    fn too_large(&self) -> Malformed {
        match self.request {
            None => Malformed::new(StatusCode::URI_TOO_LONG, "the request line is too long"),
            Some(_) => Malformed::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large"),
        }
    }

    fn field(&mut self, request: RequestLine, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Malformed> {
        self.headers = self.headers.saturating_add(1);
        if self.headers > limits.headers {
            return Err(Malformed::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many headers"));
        }
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

const BARE_LINE_FEED: Malformed = Malformed::bad("a line ends in a bare line feed");

const NOT_A_REQUEST_LINE: Malformed =
    Malformed::bad("the request line is not a method, a target and a version, with one space between");

/// The request line without its end.
fn request_line(bytes: &[u8]) -> Read<'_, RequestLine> {
    let (method, rest) = token(bytes);
    let rest = match rest {
        [b' ', rest @ ..] if !method.is_empty() => rest,
        [] => return Ok(None),
        [b'\n', ..] => return Err(BARE_LINE_FEED),
        [b'\r' | b' ', ..] => return Err(NOT_A_REQUEST_LINE),
        _ => return Err(Malformed::bad("the method is not a token")),
    };
    let (target, rest) = word(rest);
    let rest = match rest {
        [b' ', rest @ ..] if !target.is_empty() => rest,
        [] => return Ok(None),
        [b'\n', ..] => return Err(BARE_LINE_FEED),
        [b'\r', ..] => return Err(NOT_A_REQUEST_LINE),
        _ => return Err(Malformed::bad("the target is empty, or has other characters than a URI may have")),
    };
    if target.contains(&b'#') {
        return Err(Malformed::bad("the target has a fragment"));
    }
    let (version, rest) = word(rest);
    if rest.is_empty() {
        return Ok(None);
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
    Ok(Some((RequestLine { version, method }, rest)))
}

/// The name and the value of a header, whitespace around the value included, without the line's end.
fn field_line(bytes: &[u8]) -> Read<'_, Line<'_>> {
    match token(bytes) {
        (name, [b':', rest @ ..]) if !name.is_empty() => {
            let (value, rest) = field_value(rest);
            Ok(Some((Line::Field { name, value }, rest)))
        }
        (_, []) => Ok(None),
        (_, [b'\n', ..]) => Err(BARE_LINE_FEED),
        ([], [b' ' | b'\t', ..]) => Err(Malformed::bad("a header goes on in a second line")),
        (_, [b' ' | b'\t', ..]) => Err(Malformed::bad("there is white space before a header's colon")),
        _ => Err(Malformed::bad("a header's name is not a token with a colon after it")),
    }
}

/// What there is of a token, and what follows it.
fn token(bytes: &[u8]) -> (&[u8], &[u8]) {
    let are_token = |bytes: &[u8; 4]| bytes.iter().fold(true, |are_token, &byte| are_token & is_token_byte(byte));
    let mut rest = bytes;
    while let Some((four, after)) = rest.split_first_chunk()
        && are_token(four)
    {
        rest = after;
    }
    split_before(skip(rest, is_token_byte), bytes)
}

/// What there is of a word of visible characters, and what follows it.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    split_before(skip(bytes, |byte| byte.is_ascii_graphic()), bytes)
}

/// What there is of a field's value, and what follows it: any control character but the tab ends it. Eight bytes are looked at
/// in one go.
fn field_value(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let sound = sound_bytes(u64::from_le_bytes(*eight));
        match rest.get(sound..) {
            _ if sound == eight.len() => rest = after,
            Some([b'\t', after @ ..]) => rest = after,
            found => return split_before(found.unwrap_or_default(), bytes),
        }
    }
    split_before(skip(rest, is_field_byte), bytes)
}

fn skip(mut bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> &[u8] {
    while let [byte, after @ ..] = bytes
        && is_wanted(*byte)
    {
        bytes = after;
    }
    bytes
}

/// The bytes before `rest`, which is their end, and `rest`.
fn split_before<'a>(rest: &'a [u8], bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    bytes.split_at_checked(bytes.len().saturating_sub(rest.len())).unwrap_or((bytes, rest))
}

/// How many of eight bytes come before the first that is below the space, or DEL.
fn sound_bytes(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // A subtraction borrows from the next byte only where it has found one: so the first that is found is one.
    let below_space = eight.wrapping_sub(ONES.wrapping_mul(0x20)) & !eight;
    let not_del = eight ^ ONES.wrapping_mul(0x7f);
    let del = not_del.wrapping_sub(ONES) & !not_del;
    ((below_space | del) & HIGH_BITS).trailing_zeros() as usize / 8
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
