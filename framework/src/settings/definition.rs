//! The one definition of a service's settings: the fields of its struct, and what each is called where.

use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::de::{self, Field, Source};
use super::{Mistake, SettingsError, secret};

/// The flags that every service has.
pub(super) const HELP: &str = "--help";
pub(super) const CHECK_CONFIG: &str = "--check-config";
pub(super) const PRINT_CONFIG: &str = "--print-config";
pub(super) const SETTINGS: &str = "--settings";
pub(super) const OWN_FLAGS: [&str; 4] = [SETTINGS, CHECK_CONFIG, PRINT_CONFIG, HELP];

/// What a field is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Text,
    Switch,
    Integer,
    Float,
    /// An enum: its variants.
    Choice(&'static [&'static str]),
    /// Has parts, so the file is its only place.
    Nested,
}

/// One field of the settings struct.
#[derive(Debug)]
pub(super) struct Setting {
    /// The name of the field, and the key in the file.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_optional: bool,
    /// It is a [`secret::Secret`], or an optional one. Those in nested settings show when they are read.
    pub(super) is_secret: bool,
}

impl Setting {
    fn of<T: DeserializeOwned>(name: &'static str) -> Self {
        let answer = Cell::default();
        let ask = || {
            // What it says is that the question is no value.
            let _no_value = de::read_alone::<T>(Field { name, source: Source::Question(Question(&answer)) });
        };
        ask();
        let Answer { kind, is_optional } = answer.get();
        Self { name, kind, is_optional, is_secret: !secret::read_during(ask).is_empty() }
    }

    /// `database_url` is called `DATABASE_URL` in the environment.
    pub(super) fn variable(&self) -> String {
        variable(self.name)
    }

    /// `database_url` is called `--database-url` among the arguments.
    pub(super) fn flag(&self) -> String {
        flag(self.name)
    }
}

pub(super) fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

pub(super) fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// The struct's fields, in its order.
///
/// # Errors
/// It is no struct, or two things would have one name.
pub(super) fn of<T: DeserializeOwned>() -> Result<Vec<Setting>, SettingsError> {
    let settings: Vec<Setting> = de::field_names::<T>()?.iter().map(|name| Setting::of::<T>(name)).collect();
    let taken = |setting: &&Setting| OWN_FLAGS.contains(&setting.flag().as_str());
    let mistakes: Vec<Mistake> = settings.iter().filter(taken).map(is_taken).collect();
    if mistakes.is_empty() { Ok(settings) } else { Err(SettingsError::wrong(mistakes)) }
}

fn is_taken(setting: &Setting) -> Mistake {
    let flag = setting.flag();
    Mistake::new("settings", format!("the field `{}` must be renamed: every service has {flag} already", setting.name))
}

/// What is most probably meant by a name that nothing has.
pub(super) fn closest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.trim_start_matches('-').chars().count() / 3).clamp(1, 3);
    let distances = names.into_iter().map(|candidate| (strsim::osa_distance(name, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// What a field's type asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    kind: Kind,
    is_optional: bool,
}

/// Asks a type what it wants to be read from. It gives no value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a>(&'a Cell<Answer>);

impl Question<'_> {
    fn is<T>(self, kind: Kind) -> Result<T, Error> {
        self.0.set(Answer { kind, ..self.0.get() });
        Err(Error::custom("only asked for its kind"))
    }
}

macro_rules! kinds {
    ($($method:ident($($argument:ty),*) => $kind:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _visitor: V) -> Result<V::Value, Error> {
            self.is(Kind::$kind)
        }
    )*};
}

impl<'de> Deserializer<'de> for Question<'_> {
    type Error = Error;

    kinds! {
        deserialize_any() => Text;
        deserialize_bool() => Switch;
        deserialize_i8() => Integer;
        deserialize_i16() => Integer;
        deserialize_i32() => Integer;
        deserialize_i64() => Integer;
        deserialize_i128() => Integer;
        deserialize_u8() => Integer;
        deserialize_u16() => Integer;
        deserialize_u32() => Integer;
        deserialize_u64() => Integer;
        deserialize_u128() => Integer;
        deserialize_f32() => Float;
        deserialize_f64() => Float;
        deserialize_seq() => Nested;
        deserialize_map() => Nested;
        deserialize_tuple(usize) => Nested;
        deserialize_tuple_struct(&'static str, usize) => Nested;
        deserialize_struct(&'static str, &'static [&'static str]) => Nested;
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        self.is(Kind::Choice(variants))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.set(Answer { is_optional: true, ..self.0.get() });
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct identifier ignored_any }
}
