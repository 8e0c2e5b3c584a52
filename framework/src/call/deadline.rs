//! How long a caller waits: `1500m` in a header, an instant in between.
//!
//! gRPC's syntax (gRPC over HTTP/2, "Timeout"), for both `grpc-timeout` and our own `samspill-timeout`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

/// The units, finest first, and how many nanoseconds each has.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60 * 1_000_000_000),
    ('H', 3600 * 1_000_000_000),
];

/// What eight digits can say.
const MAX_VALUE: u128 = 99_999_999;

/// A header that says no timeout, although it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedTimeout;

/// What the header says, if it is there.
pub(crate) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, MalformedTimeout> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => parse(value.as_bytes()).map(Some).ok_or(MalformedTimeout),
        (Some(_), Some(_)) => Err(MalformedTimeout),
    }
}

/// The instant after which nobody waits any more. None for what lies beyond all clocks.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// What is left until then, as a header says it: rounded down, so that no hop gives more than it was given.
pub(crate) fn write(deadline: Instant) -> HeaderValue {
    let left = deadline.saturating_duration_since(Instant::now()).as_nanos();
    let fitting = UNITS.iter().map(|&(unit, nanos)| (unit, left / nanos)).find(|&(_, value)| value <= MAX_VALUE);
    let (unit, value) = fitting.unwrap_or(('H', MAX_VALUE));
    HeaderValue::try_from(format!("{value}{unit}")).expect("because digits and a letter are what a header may have")
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("1500m", Duration::from_millis(1500)),
            ("7u", Duration::from_micros(7)),
            ("00000009n", Duration::from_nanos(9)),
            ("0m", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", "S", "5", "5s", "5 S", " 5S", "-5S", "+5S", "1.5S", "123456789n", "5SS", "0x5S", "\u{0665}S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_header_says_it_once_or_not_at_all() {
        let name = HeaderName::from_static("grpc-timeout");
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers, &name), Ok(None));
        headers.append(&name, HeaderValue::from_static("1S"));
        assert_eq!(read(&headers, &name), Ok(Some(Duration::from_secs(1))));
        headers.append(&name, HeaderValue::from_static("1S"));
        assert_eq!(read(&headers, &name), Err(MalformedTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_written_in_the_finest_unit_that_fits() {
        for (timeout, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(1500), "1500000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(200_000_000), "3333333M"),
            (Duration::from_secs(99_999_999 * 3600), "99999999H"),
        ] {
            assert_eq!(write(after(timeout).unwrap()), expected);
        }
        let deadline = after(Duration::from_secs(2)).unwrap();
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(write(deadline), "1500000u");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(write(deadline), "0n");
        assert_eq!(after(Duration::MAX), None);
    }
}
