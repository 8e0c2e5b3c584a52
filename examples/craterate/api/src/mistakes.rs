//! What is wrong with a request, field by field, told all at once.

use axum::http::StatusCode;
use samspill::Problem;

/// The longest name or place in characters: far above what people write, far below what fills a disk.
const MAX_TEXT: usize = 200;

/// The longest id in bytes: room for a UUID and a prefix.
const MAX_ID: usize = 64;

/// Collects the mistakes of one request.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<(&'static str, String)>);

impl Mistakes {
    /// No mistake yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a field is wrong.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push((field, message.into()));
    }

    /// The value of a field, or a note why it has none.
    pub fn note<T, E: ToString>(&mut self, field: &'static str, checked: Result<T, E>) -> Option<T> {
        checked.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// Goes on if nothing was noted.
    ///
    /// # Errors
    /// A 422 that names every field noted.
    pub fn none(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<Mistakes> for Problem {
    fn from(mistakes: Mistakes) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Some fields are wrong");
        mistakes.0.into_iter().fold(problem, |problem, (field, message)| problem.field(field, message))
    }
}

/// Whether a text can be an id: it must fit into a path and a header.
///
/// # Errors
/// What the id must be.
pub fn check_id(id: &str) -> Result<(), String> {
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if fits { Ok(()) } else { Err(format!("must be 1 to {MAX_ID} letters, digits and hyphens")) }
}

/// Whether a text says something, in at most 200 characters and on one line.
///
/// # Errors
/// What the text must be.
pub fn check_text(text: &str) -> Result<(), String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(format!("must be 1 to {MAX_TEXT} characters on one line")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_something_on_one_line() {
        assert!(check_text("Åse Nordmann").is_ok());
        for text in ["", "  ", "two\nlines", "\0", &"x".repeat(201)] {
            assert!(check_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_fit_into_a_path_and_a_header() {
        assert!(check_id("0193b-A").is_ok());
        for id in ["", "a/b", "a b", "a\r\n", "æ", &"x".repeat(65)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
