//! Any value that a type accepts, to look past a field that is missing or wrong. It never reaches a service.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// What texts are often read as: a number, an address, a URL, a duration, a UUID, a time.
pub(super) const TEXTS: [&str; 7] = [
    "1",
    "127.0.0.1:1",
    "127.0.0.1",
    "http://localhost/",
    "1s",
    "00000000-0000-4000-8000-000000000000",
    "2000-01-01T00:00:00Z",
];

/// Gives each type something that it is likely to accept: this text where it wants one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample(pub(super) &'static str);

impl IntoDeserializer<'_, Error> for Sample {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! samples {
    ($($method:ident($($argument:ty),*) => $visit:ident($($value:expr)?);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* visitor: V) -> Result<V::Value, Error> {
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Sample {
    type Error = Error;

    samples! {
        deserialize_bool() => visit_bool(false);
        deserialize_i8() => visit_i64(1);
        deserialize_i16() => visit_i64(1);
        deserialize_i32() => visit_i64(1);
        deserialize_i64() => visit_i64(1);
        deserialize_i128() => visit_i64(1);
        deserialize_u8() => visit_u64(1);
        deserialize_u16() => visit_u64(1);
        deserialize_u32() => visit_u64(1);
        deserialize_u64() => visit_u64(1);
        deserialize_u128() => visit_u64(1);
        deserialize_f32() => visit_f64(1.0);
        deserialize_f64() => visit_f64(1.0);
        deserialize_char() => visit_char('1');
        deserialize_bytes() => visit_bytes(b"1");
        deserialize_byte_buf() => visit_bytes(b"1");
        deserialize_option() => visit_none();
        deserialize_unit() => visit_unit();
        deserialize_ignored_any() => visit_unit();
        deserialize_unit_struct(&'static str) => visit_unit();
        deserialize_seq() => visit_seq(SeqDeserializer::<_, Error>::new(std::iter::empty::<Sample>()));
        deserialize_map() => visit_map(MapDeserializer::<_, Error>::new(std::iter::empty::<(&str, Sample)>()));
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::repeat_n(self, length)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(fields.iter().map(move |field| (*field, self))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match variants.first() {
            Some(variant) => visitor.visit_enum((*variant).into_deserializer()),
            None => Err(Error::custom("it has no value")),
        }
    }

    forward_to_deserialize_any! { str string identifier }
}
