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
use super::arguments::Given;
use super::definition::{self, Question, Setting};
use super::{Environment, Mistake, SETTINGS_FILE, SettingsError};

/// A settings file that was read.
pub(super) struct File {
    pub(super) path: String,
    values: serde_json::Map<String, Value>,
}

impl File {
    /// Reads it; `place` says who named it.
    pub(super) fn read(path: &str, place: String) -> Result<Self, Mistake> {
        let text = std::fs::read_to_string(path).map_err(|error| Mistake::new(place, error.to_string()))?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Mistake> {
        // A snippet would show the lines around a mistake, and secrets with them.
        let options = serde_saphyr::options! { with_snippet: false };
        let value: Option<Value> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| Mistake::new(path, error.to_string()))?;
        let values = match value {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(values)) => values,
            Some(_) => return Err(Mistake::new(path, "must be a mapping of names to values")),
        };
        Ok(Self { path: path.to_owned(), values })
    }
}

/// Where the value of a field comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Flag(&'a str),
    Variable(&'a str),
    File(&'a str, &'a Value),
    /// Nowhere: stands in for a field that is known to be wrong, so that the rest can be looked at.
    Sample(&'static str),
    /// Nowhere: asks what the field is.
    Question(Question<'a>),
}

/// One field of the struct, with its value.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) source: Source<'a>,
}

impl<'a> Field<'a> {
    /// The field as the strongest source has it, if one has.
    pub(super) fn of(
        setting: &Setting,
        given: &Given<'a>,
        environment: &'a Environment,
        file: Option<&'a File>,
    ) -> Option<Self> {
        let name = setting.name;
        let from_file = || file.and_then(|file| Some(Source::File(&file.path, file.values.get(name)?)));
        let from_environment = || environment.get(&setting.variable()).map(Source::Variable).or_else(from_file);
        given.value(name).map(Source::Flag).or_else(from_environment).map(|source| Self { name, source })
    }

    /// The value, if it is a text.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.source {
            Source::Flag(text) | Source::Variable(text) => Some(text),
            Source::File(_, value) => value.as_str(),
            Source::Sample(_) | Source::Question(_) => None,
        }
    }

    /// Where a reader finds the value.
    pub(super) fn place(&self) -> String {
        match self.source {
            Source::Flag(_) => definition::flag(self.name),
            Source::File(path, _) => format!("{path}: {}", self.name),
            Source::Variable(_) | Source::Sample(_) | Source::Question(_) => definition::variable(self.name),
        }
    }
}

/// Reads the fields. Those without a value are missing or have a default, which is only asked if `is_complete`: else
/// they may have been where nobody could look.
///
/// # Errors
/// All `mistakes` that were known before, and all that are found.
pub(super) fn read<T: DeserializeOwned>(
    settings: &[Setting],
    fields: &[Field<'_>],
    is_complete: bool,
    mut mistakes: Vec<Mistake>,
) -> Result<T, SettingsError> {
    let mut fields = fields.to_vec();
    for field in &mut fields {
        if let Some(problem) = read_alone::<T>(*field) {
            mistakes.push(Mistake::new(field.place(), problem));
            field.source = sample::<T>(field.name);
        }
    }
    let Whole { missing, outcome } = read_whole::<T>(settings, fields);
    if is_complete {
        mistakes.extend(missing.iter().map(|setting| is_missing(setting)));
    }
    match outcome {
        Ok(values) if mistakes.is_empty() => Ok(values),
        // The struct as a whole is wrong.
        Err(problem) if mistakes.is_empty() => Err(SettingsError::one("settings", problem)),
        // It is made of samples, or one of them was not good enough to go on.
        Ok(_) | Err(_) => Err(SettingsError::wrong(mistakes)),
    }
}

/// The settings that have no default.
pub(super) struct Required {
    pub(super) names: Vec<&'static str>,
    /// Else there may be more: one of them accepts no sample.
    pub(super) is_complete: bool,
}

pub(super) fn required<T: DeserializeOwned>(settings: &[Setting]) -> Required {
    let Whole { missing, outcome } = read_whole::<T>(settings, Vec::new());
    Required { names: missing.iter().map(|setting| setting.name).collect(), is_complete: outcome.is_ok() }
}

/// Keys of the file that no setting has.
pub(super) fn unknown_keys(settings: &[Setting], file: &File) -> Vec<Mistake> {
    let names: Vec<&str> = settings.iter().map(|setting| setting.name).collect();
    let unknown = file.values.keys().filter(|key| !names.contains(&key.as_str()));
    unknown
        .map(|key| {
            let hint = match definition::closest(key, names.iter().copied()) {
                Some(closest) => format!("did you mean `{closest}`?"),
                None if names.is_empty() => "there are none".to_owned(),
                None => format!("there are: {}", names.join(", ")),
            };
            Mistake::new(format!("{}: {key}", file.path), format!("is not a setting; {hint}"))
        })
        .collect()
}

fn is_missing(setting: &Setting) -> Mistake {
    let Setting { name, .. } = setting;
    let (variable, flag) = (setting.variable(), setting.flag());
    let remedy = match setting.kind {
        definition::Kind::Nested => format!("write `{name}` into the settings file, which {SETTINGS_FILE} names"),
        _ => format!("set {variable}, or {flag} VALUE, or `{name}` in the settings file"),
    };
    Mistake::new(variable, format!("is missing: {remedy}"))
}

/// What came of reading the whole struct.
struct Whole<'a, T> {
    missing: Vec<&'a Setting>,
    /// May be made of samples.
    outcome: Result<T, String>,
}

/// Reads the struct. What is missing is noted, replaced by a sample and asked for again.
fn read_whole<'a, T: DeserializeOwned>(settings: &'a [Setting], mut fields: Vec<Field<'_>>) -> Whole<'a, T> {
    let mut missing = Vec::new();
    loop {
        let outcome = T::deserialize(Fields(&fields)).map_err(|error| error.to_string());
        // No setting is missing twice, so this ends.
        let next = outcome.as_ref().err().and_then(|error| named_missing(settings, error));
        let Some(setting) = next.filter(|next| fields.iter().all(|field| field.name != next.name)) else {
            return Whole { missing, outcome };
        };
        missing.push(setting);
        fields.push(Field { name: setting.name, source: sample::<T>(setting.name) });
    }
}

fn named_missing<'a>(settings: &'a [Setting], error: &str) -> Option<&'a Setting> {
    let name = error.strip_prefix("missing field `")?.strip_suffix('`')?;
    settings.iter().find(|setting| setting.name == name)
}

/// A value that the field accepts, if one is known.
fn sample<T: DeserializeOwned>(name: &'static str) -> Source<'static> {
    let is_accepted = |source: &Source<'static>| read_alone::<T>(Field { name, source: *source }).is_none();
    let mut samples = sample::TEXTS.into_iter().map(Source::Sample);
    samples.find(is_accepted).unwrap_or(Source::Sample(sample::TEXTS[0]))
}

/// Asks a struct for the names of its fields.
pub(super) fn field_names<T: DeserializeOwned>() -> Result<&'static [&'static str], SettingsError> {
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
pub(super) fn read_alone<T: DeserializeOwned>(field: Field<'_>) -> Option<String> {
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
struct Fields<'a>(&'a [Field<'a>]);

impl<'de> Deserializer<'de> for Fields<'_> {
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

impl<'de> MapAccess<'de> for Fields<'_> {
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
        Source::Flag(text) | Source::Variable(text) => {
            seed.deserialize(Text(text)).map_err(|error| Error::custom(without_value(&error.to_string())))
        }
        Source::Sample(text) => seed.deserialize(Sample(text)),
        Source::Question(question) => seed.deserialize(question),
        Source::File(_, value) => {
            let mut track = serde_path_to_error::Track::new();
            let deserializer = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
            let outcome = seed.deserialize(deserializer);
            outcome.map_err(|error| {
                let problem = without_value(&error.to_string());
                match track.path().to_string() {
                    path if path == "." => Error::custom(problem),
                    path => Error::custom(format_args!("{path}: {problem}")),
                }
            })
        }
    }
}

/// serde's message without the value that it quotes: where something with a secret in it is expected, it may be the
/// secret.
fn without_value(message: &str) -> String {
    let parts = ["invalid type", "invalid value", "unknown variant"].into_iter().find_map(|what| {
        let (found, expected) = message.strip_prefix(what)?.rsplit_once(", expected ")?;
        let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        Some(format!("{what}{kind}, expected {expected}"))
    });
    parts.unwrap_or_else(|| message.to_owned())
}
