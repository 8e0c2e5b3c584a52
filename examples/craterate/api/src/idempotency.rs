//! The key by which a repeat of a POST is recognised (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header).

use axum::http::{HeaderMap, HeaderName};
use samspill::Problem;

use crate::mistakes::Mistakes;

/// The request header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in bytes.
const MAX_LENGTH: usize = 200;

/// The key of a request, opaque; none where the caller sent none.
///
/// # Errors
/// A 422 that names the header, when it is there more than once, empty, too long or not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_valid = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
    if is_valid && values.next().is_none() {
        return Ok(Some(text.to_owned()));
    }
    let mut mistakes = Mistakes::new();
    mistakes.add("Idempotency-Key", format!("must be there once, with 1 to {MAX_LENGTH} visible ASCII characters"));
    Err(mistakes.into())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (KEY, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_key_is_opaque() {
        assert_eq!(key(&headers(&[])).unwrap(), None);
        assert_eq!(key(&headers(&["\"8e03-97\""])).unwrap().as_deref(), Some("\"8e03-97\""));
    }

    #[test]
    fn other_keys_are_refused() {
        for values in [&["a", "b"][..], &["a", "a"], &[""], &["a b"], &["æ"], &["x".repeat(201).as_str()]] {
            assert!(key(&headers(values)).is_err(), "{values:?}");
        }
    }
}
