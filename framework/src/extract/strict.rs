//! Is this JSON that everybody reads alike? Asked of the whole text, before a type takes from it what it knows.
//!
//! serde alone skips what a type does not read, without a look at its depth, its UTF-8 or its names, and lets the last of
//! two equal names of a map win. RFC 8259 §4 leaves open what such an object means; RFC 7493 (I-JSON) forbids it.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{json_problem, not_json};
use crate::Problem;

/// The bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes).map_err(|error| {
        let detail = format!("It is not UTF-8 after byte {}.", error.valid_up_to());
        Problem::new(StatusCode::BAD_REQUEST, "The body is not JSON").detail(detail)
    })
}

/// Whether it is one JSON value of one meaning.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if Sound::deserialize(&mut deserializer).is_err() {
        return Err(explain(text));
    }
    deserializer.end().map_err(|error| not_json(&error))
}

/// What is nested deeper, or has a longer number, is not plain.
const PLAIN_DEPTH: usize = 32;
const PLAIN_NUMBER_BYTES: usize = 18;

/// So many are sooner compared with each other than sorted.
const FEW_NAMES: usize = 8;

/// Whether [`check`] need not be asked, if a type could be read from the text: most bodies show it at a fifth of the price.
///
/// What serde_json reads a type from is JSON, but for what the type skips: how deep that is, its names, `\u` escapes and the
/// size of its numbers. So only those are looked at.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut names, mut open) = (Vec::with_capacity(FEW_NAMES), Vec::with_capacity(FEW_NAMES));
    let (mut expects_name, mut at) = (false, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                expects_name = byte == b'{';
                open.push(expects_name.then_some(names.len()));
                if open.len() > PLAIN_DEPTH {
                    return false;
                }
            }
            b'}' | b']' => {
                let Some(closed) = open.pop() else { return false };
                expects_name = false;
                if let Some(first) = closed {
                    if has_twice(&mut names[first..]) {
                        return false;
                    }
                    names.truncate(first);
                }
            }
            b',' => expects_name = open.last().is_some_and(Option::is_some),
            b'"' => {
                let rest = &bytes[at..];
                let Some(length) = string_length(rest, expects_name) else { return false };
                if std::mem::take(&mut expects_name) {
                    names.push(&rest[..length]);
                }
                at += length + 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.');
                let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                at += length;
                if length > PLAIN_NUMBER_BYTES || matches!(bytes.get(at), Some(b'e' | b'E')) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// Up to the quote that ends it; none for one without an end, or with an escape that matters.
fn string_length(bytes: &[u8], is_name: bool) -> Option<usize> {
    let mut length = 0;
    loop {
        // A control character is none in JSON, but serde_json lets it pass where a type takes bytes.
        length += bytes[length..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        match bytes[length] {
            b'"' => return Some(length),
            b'\\' => {}
            _ => return None,
        }
        if is_name || matches!(bytes.get(length + 1), None | Some(b'u')) {
            return None;
        }
        length += 2;
    }
}

fn has_twice(names: &mut [&[u8]]) -> bool {
    if names.len() <= FEW_NAMES {
        // Most differ in length, or in the first letter.
        return (1..names.len()).any(|later| names[..later].contains(&names[later]));
    }
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Finds the fault again, and the way to it; that way costs time, which a sound body need not pay.
#[cold]
fn explain(text: &str) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Sound>(&mut deserializer) {
        // A way of a hundred steps helps nobody.
        Err(error) if error.inner().to_string().starts_with("recursion limit") => not_json(error.inner()),
        Err(error) => json_problem(&error),
        Ok(Sound) => Problem::new(StatusCode::BAD_REQUEST, "The body is not JSON"), // never: it has just failed
    }
}

/// Any value in which no object has a name twice. serde_json itself counts the levels.
#[derive(Clone, Copy, Debug)]
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

/// A name; borrowed from the text, unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Sound {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self, A::Error> {
        while values.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some((Name(name), Self)) = fields.next_entry()? {
            names.push(name);
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            // The words are serde's own for a struct.
            Some(twice) => Err(A::Error::custom(format_args!("duplicate field `{}`", twice[0]))),
            None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sound_json_passes() {
        for text in [
            r#"{"a":{"b":1},"c":{"b":[null,true,-1,1.5e3,"\ud83d\ude00 æ"]}}"#,
            "5",
            " [] ",
            r#"{"a":1,"A":2}"#,
            &format!("{}{}", "[".repeat(127), "]".repeat(127)),
        ] {
            assert_eq!(check(text), Ok(()));
        }
    }

    #[test]
    fn two_equal_names_are_named_wherever_they_are() {
        for (text, field) in [
            (r#"{"a":1,"b":2,"a":3}"#, "a"),
            (r#"{"a":1,"\u0061":3}"#, "a"),
            (r#"{"list":[{},{"x":{"y":1,"y":1}}]}"#, "list[1].x.y"),
        ] {
            assert!(!is_plain(text), "{text}");
            let problem = check(text).unwrap_err();
            assert_eq!(problem.status(), 422, "{text}");
            let errors: Vec<_> = problem.errors().iter().map(|error| (&*error.field, &*error.detail)).collect();
            assert_eq!(errors, [(field, "is there twice")], "{text}");
        }
    }

    #[test]
    fn what_is_not_json_says_why() {
        for (text, detail) in [
            (&b"{\"a\":\"\xff\"}"[..], "It is not UTF-8 after byte 6."),
            (b"{\"a\":NaN}", "expected value at line 1 column 6"),
            (b"[Infinity]", "expected value at line 1 column 2"),
            (b"1e999", "number out of range at line 1 column 5"),
            (b"{} x", "trailing characters at line 1 column 4"),
            (b"\"\\ud800\"", "unexpected end of hex escape at line 1 column 8"),
            (&b"[".repeat(10_000), "recursion limit exceeded at line 1 column 128"),
            (&b"{\"a\":".repeat(10_000), "recursion limit exceeded at line 1 column 636"),
        ] {
            let problem = super::text(text).and_then(check).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.detail_text()), (400, Some(detail)));
            // No way of ten thousand steps.
            assert!(problem.errors().iter().all(|error| error.field.len() < 10), "{problem}");
        }
    }

    fn values() -> impl Strategy<Value = String> {
        let pieces = vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"b\"",
            "\"\\u0061\"",
            "\"\\n\"",
            "\"\\ud800\"",
            "\"\\\"",
            "\"",
            "1",
            "-0.5",
            "1e999",
            "1E9",
            "99999999999999999999",
            "true",
            "null",
            " ",
            "{\"a\":",
            "{\"b\":1,\"a\":",
            "{\"a\":1,\"a\":2}",
            "[{\"c\":[]}]",
        ];
        let leaf = prop::sample::select(vec!["1", "true", "\"\\n\"", "\"\\ud800\"", "1e999", "\"}\"", "-1.5"])
            .prop_map(str::to_owned);
        let nested = leaf.prop_recursive(6, 32, 4, |inner| {
            let name = prop::sample::select(vec!["a", "b", "\\u0061", "\\n", "{"]);
            let members = prop::collection::vec((name, inner.clone()), 0..4);
            let object = members.prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
                format!("{{{}}}", members.join(","))
            });
            let array = prop::collection::vec(inner, 0..3).prop_map(|values| format!("[{}]", values.join(", ")));
            prop_oneof![object, array]
        });
        let noise = prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat());
        prop_oneof![3 => nested, 1 => noise]
    }

    proptest! {
        #[test]
        fn what_is_plain_and_can_be_skipped_is_sound(text in values()) {
            let can_be_skipped = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert!(!(is_plain(&text) && can_be_skipped) || check(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn what_is_plain() {
        for text in [
            r#"{"from":"NO","to":"SE","grams":2500}"#,
            r#"[{"a":{"b":[true,null]}},{"a":"say \"hi\"\n"},-1.25]"#,
            "{}",
            "\"æ\"",
        ] {
            assert!(is_plain(text), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(PLAIN_DEPTH + 1), "]".repeat(PLAIN_DEPTH + 1));
        assert!(!is_plain("\"a\nb\"") && check("\"a\nb\"").is_err(), "serde_json takes it for bytes");
        for text in [r#"{"\n":1}"#, r#""\u0061""#, "1e5", "123456789012345678901", &deep] {
            assert!(!is_plain(text) && check(text).is_ok(), "{text}");
        }
    }
}
