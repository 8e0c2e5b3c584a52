//! The place of one span in a trace, as it travels in the `traceparent` header.
//!
//! Source: W3C Trace Context, Recommendation of 23 November 2021, §3.2 and §4. `tracestate` and `baggage` are not read
//! here: everybody passes them on as they came.

use http::{HeaderMap, HeaderValue};

use crate::conventions::header::{TRACEPARENT, TRACERESPONSE};

/// Length of a version 00 `traceparent`, in bytes: `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH_BYTES: usize = 55;

/// The only flag that version 00 defines.
const FLAG_SAMPLED: u8 = 0x01;

/// One span's place in a trace: what is written into `traceparent` for those that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span; never all zeros.
    pub span_id: [u8; 8],
    /// Whether the one who started the trace wants it recorded. Decided once, at the edge.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads `traceparent`, strictly: exactly one header, lower-case hexadecimal, no zero ids, and for version 00 no
    /// byte more. `None` for a missing or malformed header: the receiver then starts a new trace (§4.3).
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse_value(value.as_bytes())
    }

    fn parse_value(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH_BYTES)?;
        let [version] = hex(&known[..2])?;
        let well_ended = match version {
            0 => rest.is_empty(),
            // §3.2.2.1: 255 is forbidden, a later version may add fields after another dash.
            0xff => false,
            _ => rest.first().is_none_or(|&byte| byte == b'-'),
        };
        let well_divided = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let trace_id = hex(&known[3..35])?;
        let span_id = hex(&known[36..52])?;
        let [flags] = hex(&known[53..])?;
        let valid = well_ended && well_divided && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags & FLAG_SAMPLED != 0 })
    }

    /// The first span of a new trace.
    pub fn new_root(sampled: bool) -> Self {
        Self { trace_id: random_id(), span_id: random_id(), sampled }
    }

    /// A new span in the same trace; `self.span_id` is its parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: random_id(), ..*self }
    }

    /// Writes `traceparent`, in place of any that is there. `tracestate` is left alone.
    pub fn inject(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.header_value());
    }

    /// Writes `traceresponse`, by which the edge tells the caller which trace to look for.
    ///
    /// Source: W3C Trace Context Level 2, draft, §3.4 (the same fields as `traceparent`).
    pub fn inject_response(&self, headers: &mut HeaderMap) {
        headers.insert(TRACERESPONSE, self.header_value());
    }

    /// The trace id as everybody shows it: 32 lower-case hexadecimal digits.
    pub fn trace_id_hex(&self) -> String {
        to_hex(&self.trace_id)
    }

    /// The span id as 16 lower-case hexadecimal digits.
    pub fn span_id_hex(&self) -> String {
        to_hex(&self.span_id)
    }

    fn header_value(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], &self.trace_id);
        write_hex(&mut text[36..52], &self.span_id);
        write_hex(&mut text[53..], &[if self.sampled { FLAG_SAMPLED } else { 0 }]);
        HeaderValue::from_bytes(&text).expect("because hexadecimal digits and dashes are legal in a header")
    }
}

/// An id that is not all zeros, which W3C calls invalid.
fn random_id<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    loop {
        rand::fill(&mut id);
        if id != [0; N] {
            return id;
        }
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

fn write_hex(target: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in target.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX_DIGITS[usize::from(byte >> 4)];
        pair[1] = HEX_DIGITS[usize::from(byte & 0x0f)];
    }
}

/// Any id as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    write_hex(&mut digits, bytes);
    digits.into_iter().map(char::from).collect()
}

/// Reads exactly `2 * N` lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut is_hex = true;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        is_hex &= high != NO_NIBBLE && low != NO_NIBBLE;
        *byte = high << 4 | low;
    }
    is_hex.then_some(bytes)
}

/// What a byte means as a digit.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_NIBBLE; 256];
    let mut value = 0_u8;
    while value < 16 {
        nibbles[HEX_DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    nibbles
};

const NO_NIBBLE: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<bool>) {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        assert_eq!(TraceContext::parse(&headers).map(|context| context.sampled), expected, "{value:?}");
    }

    #[test]
    fn reads_only_what_w3c_allows() {
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some(true));
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", Some(false));
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02", Some(false));
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", Some(true));
        // A later version may be longer, after a dash.
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some(true));
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-is-next", Some(true));
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", None);
        // Version 00 may not, and ff is forbidden.
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", None);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ", None);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
        // Ids of zeros.
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None);
        // Upper case, other digits, other dividers, other lengths.
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A", None);
        check("0A-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", None);
        check("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331.01", None);
        check("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", None);
        check("0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
        check(" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
        check("00-0af7651916cd43dd8448eb211c80319c", None);
        check("", None);
    }

    #[test]
    fn two_headers_are_no_header() {
        let mut headers = HeaderMap::new();
        TraceContext::new_root(true).inject(&mut headers);
        assert!(TraceContext::parse(&headers).is_some());
        headers.append(TRACEPARENT, TraceContext::new_root(true).header_value());
        assert_eq!(TraceContext::parse(&headers), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for sampled in [false, true] {
            let mut headers = HeaderMap::new();
            let context = TraceContext::new_root(sampled);
            context.inject(&mut headers);
            assert_eq!(TraceContext::parse(&headers), Some(context));
            let text = headers[TRACEPARENT].to_str().unwrap();
            assert_eq!(text.split('-').nth(1), Some(context.trace_id_hex().as_str()));
            assert_eq!(text.split('-').nth(2), Some(context.span_id_hex().as_str()));
        }
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let root = TraceContext::new_root(true);
        let child = root.child();
        assert_eq!((child.trace_id, child.sampled), (root.trace_id, root.sampled));
        assert_ne!(child.span_id, root.span_id);
    }
}
