//! [`Page`]: a part of a list, and where the next part begins.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of a list: `{"items":[…],"next":"…"|null}`.
///
/// Give callers a [`Cursor`] and not an offset: a list that grows in front would repeat and skip items.
///
/// ```
/// use samspill::{Cursor, Page};
///
/// // One more than a page was read, to know whether another one follows.
/// let page = Page::of(vec![3, 4, 5], 2, |last| Cursor::after(last));
/// assert_eq!(page.items, [3, 4]);
/// assert_eq!(*page.next.unwrap().key(), 4);
/// assert_eq!(Page::<u8, u8>::of(vec![7], 2, |last| Cursor::after(last)).next, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(bound(serialize = "T: Serialize, K: Serialize", deserialize = "T: Deserialize<'de>, K: DeserializeOwned"))]
#[schemars(bound = "T: JsonSchema", rename = "PageOf{T}", description = "A part of a list.")]
pub struct Page<T, K = String> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the next part begins; null at the end.
    pub next: Option<Cursor<K>>,
}

/// Where a part of a list begins: opaque to callers, the key of the last item to the service.
///
/// As a parameter, `cursor: Option<Cursor<u64>>`: what is not a cursor of this list is refused with a problem that names it.
///
/// ```
/// use samspill::Cursor;
///
/// let cursor = Cursor::after(&17_u64);
/// let written = serde_json::to_string(&cursor).unwrap();
/// assert_eq!(serde_json::from_str::<Cursor<u64>>(&written).unwrap(), cursor);
/// assert!(serde_json::from_str::<Cursor<u64>>("\"17\"").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K = String>(K);

impl<K: Clone> Cursor<K> {
    /// After the item with this key.
    pub fn after(key: &K) -> Self {
        Self(key.clone())
    }
}

impl<K> Cursor<K> {
    /// The key of the item after which to go on.
    pub fn key(&self) -> &K {
        &self.0
    }
}

impl<T, K> Page<T, K> {
    /// At most `limit` of these items; if there are more, `cursor` makes the next part's begin of the last one kept.
    pub fn of(mut items: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> Cursor<K>) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(cursor);
        Self { items, next }
    }
}

/// As it is written in a query.
impl<K: Serialize> fmt::Display for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = serde_json::to_vec(&self.0).map_err(|_not_json| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(key))
    }
}

impl<K: Serialize> Serialize for Cursor<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CursorVisitor(PhantomData))
    }
}

struct CursorVisitor<K>(PhantomData<K>);

impl<K: DeserializeOwned> serde::de::Visitor<'_> for CursorVisitor<K> {
    type Value = Cursor<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the `next` of an earlier page")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cursor<K>, E> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Cursor).ok_or_else(|| E::custom("is not the `next` of an earlier page"))
    }
}

impl<K> JsonSchema for Cursor<K> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "Opaque; as an earlier page gave it." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let text = serde_json::to_string(&Cursor::after(&("2026-11-27".to_owned(), 7_u64))).unwrap();
        let cursor: Cursor<(String, u64)> = serde_json::from_str(&text).unwrap();
        assert_eq!(cursor.key(), &("2026-11-27".to_owned(), 7));
        for other in ["\"\"", "\"?\"", "\"MTI\"", "7"] {
            assert!(serde_json::from_str::<Cursor<(String, u64)>>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_last_page_says_so_with_null() {
        let page = Page::<u8> { items: vec![1], next: None };
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"items":[1],"next":null}"#);
    }
}
