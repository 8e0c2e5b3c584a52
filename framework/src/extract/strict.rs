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

/// The text, if it is one JSON value of one meaning.
pub(super) fn check(bytes: &[u8]) -> Result<&str, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let detail = format!("It is not UTF-8 after byte {}.", error.valid_up_to());
        Problem::new(StatusCode::BAD_REQUEST, "The body is not JSON").detail(detail)
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if Sound::deserialize(&mut deserializer).is_err() {
        return Err(explain(text));
    }
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(text)
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
            assert_eq!(check(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn two_equal_names_are_named_wherever_they_are() {
        for (text, field) in [
            (r#"{"a":1,"b":2,"a":3}"#, "a"),
            (r#"{"a":1,"\u0061":3}"#, "a"),
            (r#"{"list":[{},{"x":{"y":1,"y":1}}]}"#, "list[1].x.y"),
        ] {
            let problem = check(text.as_bytes()).unwrap_err();
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
            let problem = check(text).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.detail_text()), (400, Some(detail)));
            // No way of ten thousand steps.
            assert!(problem.errors().iter().all(|error| error.field.len() < 10), "{problem}");
        }
    }
}
