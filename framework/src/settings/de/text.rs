//! The value of a variable or a flag: always a text, read as what the field wants.

use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The text of a variable or a flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) &'a str);

macro_rules! numbers {
    ($($method:ident as $type:ty => $visit:ident, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.trim().parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_error) => Err(Error::custom(format_args!("`{}` is not {}", self.0, $expected))),
            }
        }
    )*};
}

macro_rules! nested {
    ($($method:ident($($argument:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _visitor: V) -> Result<V::Value, Error> {
            Err(Error::custom("is more than one value: write it into the settings file, which SAMSPILL_SETTINGS or --settings names"))
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    numbers! {
        deserialize_bool as bool => visit_bool, "`true` or `false`";
        deserialize_i8 as i64 => visit_i64, "a whole number";
        deserialize_i16 as i64 => visit_i64, "a whole number";
        deserialize_i32 as i64 => visit_i64, "a whole number";
        deserialize_i64 as i64 => visit_i64, "a whole number";
        deserialize_i128 as i128 => visit_i128, "a whole number";
        deserialize_u8 as u64 => visit_u64, "a whole number from 0";
        deserialize_u16 as u64 => visit_u64, "a whole number from 0";
        deserialize_u32 as u64 => visit_u64, "a whole number from 0";
        deserialize_u64 as u64 => visit_u64, "a whole number from 0";
        deserialize_u128 as u128 => visit_u128, "a whole number from 0";
        deserialize_f32 as f64 => visit_f64, "a number";
        deserialize_f64 as f64 => visit_f64, "a number";
    }

    nested! {
        deserialize_seq();
        deserialize_map();
        deserialize_tuple(usize);
        deserialize_tuple_struct(&'static str, usize);
        deserialize_struct(&'static str, &'static [&'static str]);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct identifier ignored_any }
}
