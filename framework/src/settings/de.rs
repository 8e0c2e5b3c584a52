//! Reads a settings struct field by field, so that one run finds every mistake.
//!
//! Serde stops at the first error. So the struct's field names are asked for first, then each field is read alone, and
//! only when all are sound is the struct read as a whole. What serde then misses is noted, replaced by a sample and
//! asked for again.

mod sample;
mod text;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use self::sample::Sample;
use self::text::Text;
use super::{Environment, Mistake, SettingsError};

/// A settings file that was read.
#[derive(Debug)]
pub(super) struct File {
    path: String,
    values: serde_json::Map<String, Value>,
}

impl File {
    pub(super) fn read(path: &str) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::one(format!("SAMSPILL_SETTINGS={path}"), error.to_string()))?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &str, text: &str) -> Result<Self, SettingsError> {
        let value: Option<Value> =
            serde_saphyr::from_str(text).map_err(|error| SettingsError::one(path, error.to_string()))?;
        let values = match value {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(values)) => values,
            Some(_) => return Err(SettingsError::one(path, "must be a mapping of names to values")),
        };
        Ok(Self { path: path.to_owned(), values })
    }
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Variable(&'a str),
    File(&'a str, &'a Value),
    /// Nowhere: stands in for a field that is known to be wrong, so that the rest can be looked at.
    Sample,
}

/// One field of the struct, with its value.
#[derive(Clone, Copy, Debug)]
struct Field<'a> {
    name: &'static str,
    source: Source<'a>,
}

pub(super) fn read<T: DeserializeOwned>(environment: &Environment, file: Option<&File>) -> Result<T, SettingsError> {
    let names = field_names::<T>()?;
    let mut mistakes = unknown_keys(names, file);

    let mut fields: Vec<Field<'_>> = names.iter().filter_map(|name| field(name, environment, file)).collect();
    for field in &mut fields {
        if let Some(problem) = read_alone::<T>(*field) {
            mistakes.push(Mistake { place: place(field), problem });
            field.source = Source::Sample;
        }
    }

    // Each round finds at most one field that is missing, and no field twice.
    for _round in 0..=names.len() {
        let error = match T::deserialize(Whole(&fields)) {
            Ok(settings) if mistakes.is_empty() => return Ok(settings),
            Ok(_made_of_samples) => break,
            Err(error) => error.to_string(),
        };
        let Some(name) = missing(names, &error) else {
            // The struct as a whole is wrong, or a sample was not good enough to go on.
            if mistakes.is_empty() {
                mistakes.push(Mistake { place: "settings".to_owned(), problem: error });
            }
            break;
        };
        mistakes.push(Mistake { place: variable(name), problem: "is missing".to_owned() });
        fields.push(Field { name, source: Source::Sample });
    }
    Err(SettingsError { mistakes })
}

/// `database_url` is called `DATABASE_URL` in the environment.
fn variable(field: &str) -> String {
    field.to_ascii_uppercase().replace('-', "_")
}

fn field<'a>(name: &'static str, environment: &'a Environment, file: Option<&'a File>) -> Option<Field<'a>> {
    let from_file = || file.and_then(|file| Some(Source::File(&file.path, file.values.get(name)?)));
    let source = environment.get(&variable(name)).map(Source::Variable).or_else(from_file)?;
    Some(Field { name, source })
}

fn place(field: &Field<'_>) -> String {
    match field.source {
        Source::Variable(_) | Source::Sample => variable(field.name),
        Source::File(path, _) => format!("{path}: {}", field.name),
    }
}

fn unknown_keys(names: &[&str], file: Option<&File>) -> Vec<Mistake> {
    let Some(file) = file else { return Vec::new() };
    let unknown = file.values.keys().filter(|key| !names.contains(&key.as_str()));
    let known = names.join(", ");
    unknown
        .map(|key| Mistake {
            place: format!("{}: {key}", file.path),
            problem: format!("is not a setting; there are: {known}"),
        })
        .collect()
}

fn missing(names: &[&'static str], error: &str) -> Option<&'static str> {
    let name = error.strip_prefix("missing field `")?.strip_suffix('`')?;
    names.iter().copied().find(|known| *known == name)
}

/// Asks a struct for the names of its fields.
fn field_names<T: DeserializeOwned>() -> Result<&'static [&'static str], SettingsError> {
    let mut names = None;
    // It ends in an error always: nothing is given to it.
    let _outcome = T::deserialize(Names(&mut names));
    names.ok_or_else(|| SettingsError::one("settings", "must be read into a struct with named fields, none flattened"))
}

struct Names<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("only asked for names"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Some(fields);
        Err(Error::custom("only asked for names"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// What is wrong with the value of one field.
fn read_alone<T: DeserializeOwned>(field: Field<'_>) -> Option<String> {
    let mut problem = None;
    // It ends in an error always: the rest of the struct is not given to it.
    let _outcome = T::deserialize(Alone { field, problem: &mut problem });
    problem
}

struct Alone<'a> {
    field: Field<'a>,
    problem: &'a mut Option<String>,
}

impl<'de> Deserializer<'de> for Alone<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Alone<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        seed.deserialize(key(self.field.name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if let Err(error) = value(self.field.source, seed) {
            *self.problem = Some(error.to_string());
        }
        Err(Error::custom("only asked for one field"))
    }
}

/// The whole struct.
struct Whole<'a>(&'a [Field<'a>]);

impl<'de> Deserializer<'de> for Whole<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Whole<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.0.first().map(|field| seed.deserialize(key(field.name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((field, rest)) = self.0.split_first() else {
            return Err(Error::custom("a value was asked for without its key"));
        };
        self.0 = rest;
        value(field.source, seed)
    }
}

fn key(name: &'static str) -> StrDeserializer<'static, Error> {
    name.into_deserializer()
}

fn value<'de, V: DeserializeSeed<'de>>(source: Source<'_>, seed: V) -> Result<V::Value, Error> {
    match source {
        Source::Variable(text) => seed.deserialize(Text(text)),
        Source::Sample => seed.deserialize(Sample),
        Source::File(_, value) => {
            let mut track = serde_path_to_error::Track::new();
            let deserializer = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
            let outcome = seed.deserialize(deserializer);
            outcome.map_err(|error| match track.path().to_string() {
                path if path == "." => Error::custom(error),
                path => Error::custom(format_args!("{path}: {error}")),
            })
        }
    }
}
