//! Ids and texts that people write.

/// The longest name or place in characters: far above what people write, far below what fills a disk.
pub const MAX_TEXT: usize = 200;

/// The form of a text, as a regular expression: something that is neither space nor control character, and no control character.
pub const TEXT_PATTERN: &str = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$";

/// The longest id in bytes: room for a UUID and a prefix.
pub const MAX_ID: usize = 64;

/// The form of an id, as a regular expression.
pub const ID_PATTERN: &str = "^[A-Za-z0-9-]{1,64}$";

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
