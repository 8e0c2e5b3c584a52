//! [`Secret`], and how its values are found where settings are printed.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// What stands where a secret is.
pub(super) const HIDDEN: &str = "***";

/// A value that is never printed: a password, a key. [`expose`](Self::expose) is the only way to it.
///
/// `Debug`, `Display` and `Serialize` give `***`, `--print-config` prints `"***"`, and a value that cannot be read is
/// not repeated in the error.
///
/// ```
/// use samspill::Secret;
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Settings { api_key: Secret<String> }
///
/// let service = samspill::test::service("invoicing", [("API_KEY", "hunter2")]);
/// let settings: Settings = service.settings().unwrap();
/// assert_eq!(settings.api_key.expose(), "hunter2");
/// assert_eq!(format!("{settings:?}"), "Settings { api_key: *** }");
/// ```
///
/// It cannot be compared: comparing secrets takes a time that tells about them. Compare what `expose` gives where
/// that does not matter.
#[derive(Clone, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    ///
    /// ```
    /// assert_eq!(samspill::Secret::new("hunter2").to_string(), "***");
    /// ```
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    ///
    /// ```
    /// assert_eq!(samspill::Secret::new("hunter2").expose(), &"hunter2");
    /// ```
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let outcome = if is_watched() {
            let value = Value::deserialize(deserializer);
            match &value {
                Ok(value) => note(value.clone()),
                Err(error) if is_missing(error) => {}
                Err(_) => note(Value::Null),
            }
            value.and_then(|value| T::deserialize(value).map_err(D::Error::custom))
        } else {
            T::deserialize(deserializer)
        };
        outcome.map(Self).map_err(without_value::<T, D::Error>)
    }
}

/// The same error, if it says no more than that there is no value; else one that does not repeat the value.
///
/// The messages of serde and of parsers quote what they were given.
fn without_value<T, E: serde::de::Error>(error: E) -> E {
    if is_missing(&error) {
        return error;
    }
    let full = std::any::type_name::<T>();
    let wanted = if full.contains(['<', '(', '[', '&']) { full } else { full.rsplit("::").next().unwrap_or(full) };
    E::custom(format_args!("is a secret that cannot be read as {wanted}; what is there is not repeated here"))
}

/// Whether serde says that there is no such field.
fn is_missing(error: &impl fmt::Display) -> bool {
    let message = error.to_string();
    let name = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'))
}

thread_local! {
    /// The values that secrets were read from, while somebody asks for them.
    ///
    /// Beside the deserializer, because serde hands values on in ways that hide where they are from: untagged enums,
    /// flattened structs.
    static SEEN: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
}

fn is_watched() -> bool {
    SEEN.with_borrow(Option::is_some)
}

fn note(value: Value) {
    SEEN.with_borrow_mut(|seen| seen.get_or_insert_default().push(value));
}

/// The values that secrets were read from during `read`; null for one that could not be had.
///
/// While this lasts a secret is read from any value, so a text is no number: what `read` gives is of no use.
pub(super) fn read_during(read: impl FnOnce()) -> Vec<Value> {
    SEEN.set(Some(Vec::new()));
    read();
    SEEN.take().unwrap_or_default()
}

/// Puts [`HIDDEN`] where one of the secrets is. If one is not found, the whole is a secret.
pub(super) fn hide(value: &mut Value, secrets: &[Value]) {
    let mut is_found = vec![false; secrets.len()];
    hide_below(value, secrets, &mut is_found);
    if is_found.contains(&false) {
        *value = HIDDEN.into();
    }
}

fn hide_below(value: &mut Value, secrets: &[Value], is_found: &mut [bool]) {
    let mut is_secret = false;
    for (secret, is_found) in secrets.iter().zip(is_found.iter_mut()) {
        if secret == value {
            is_secret = true;
            *is_found = true;
        }
    }
    match value {
        _ if is_secret => *value = HIDDEN.into(),
        Value::Array(values) => values.iter_mut().for_each(|value| hide_below(value, secrets, is_found)),
        Value::Object(values) => values.values_mut().for_each(|value| hide_below(value, secrets, is_found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
