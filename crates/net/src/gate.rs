//! Is this well-formed HTTP? Asked before anybody acts on it, because hyper parses but does not validate.
//!
//! What two parsers read differently, an attacker uses to hide a request from one of them. So the gate takes only one way
//! of saying each thing, and refuses the rest, however common it may be elsewhere. A connection passes three parts:
//!
//! 1. [`detect()`]: HTTP/1 or HTTP/2?
//! 2. [`Http1Guard`]: under hyper, for what only the raw bytes of HTTP/1 show. h2 does the same for HTTP/2.
//! 3. [`check_request`]: on every request of both versions.
//!
//! Not here: which requests are allowed, and what becomes of their headers.

mod body;
mod detect;
mod head;
mod http1;
mod request;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

pub use detect::{DetectError, HttpVersion, Prefixed, detect};
pub use http1::{Http1Guard, Verdict};
pub use request::check_request;

/// How much of a request's head is read before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The request line and all headers, with their line ends. More is a 414, or a 431.
    pub head_bytes: usize,
    /// How many header lines. More is a 431.
    pub headers: usize,
    /// From the first byte of a head to its last; longer is a 408. Waiting for the first byte is not counted: hyper's
    /// `header_read_timeout` is that, an idle timeout, because it never sees half a head.
    pub header_deadline: Duration,
}

impl Default for Limits {
    /// 64 KiB, 100 headers (as hyper's), 10 s.
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, headers: 100, header_deadline: Duration::from_secs(10) }
    }
}

/// Why a request is refused, and how that is answered. The connection is closed with the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Malformed {
    /// 400, 408, 414, 417, 431, 501 or 505.
    pub status: StatusCode,
    /// One sentence for the caller; holds nothing that the caller sent.
    pub detail: Cow<'static, str>,
}

impl Malformed {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail: Cow::Borrowed(detail) }
    }

    const fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// RFC 9110 §5.6.2, as a table: each byte of each name is asked for.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let symbols = b"!#$%&'*+-.^_`|~";
    let mut symbol = 0;
    while symbol < symbols.len() {
        table[symbols[symbol] as usize] = true;
        symbol += 1;
    }
    table
};

/// RFC 9110 §5.5: what may stand in a field value. Not CR, LF, NUL or another control character, except the tab.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
