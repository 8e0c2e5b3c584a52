//! What a field of a request must keep, for `#[garde(custom(rules::…))]`.

use crate::country::Country;
use crate::text::{check_id, check_text};
use crate::weight::{self, Kilograms};

/// A country that is served.
///
/// # Errors
/// Which countries there are.
pub fn country(code: &str, _context: &()) -> garde::Result {
    code.parse::<Country>().map(drop).map_err(garde::Error::new)
}

/// A weight that is carried.
///
/// # Errors
/// What it must be.
pub fn grams(grams: &u32, _context: &()) -> garde::Result {
    weight::check(*grams).map_err(garde::Error::new)
}

/// The same, written in kilograms.
///
/// # Errors
/// What it must be.
pub fn kilograms(text: &str, _context: &()) -> garde::Result {
    text.parse::<Kilograms>().map(drop).map_err(garde::Error::new)
}

/// An id that fits into a path and a header.
///
/// # Errors
/// What the id must be.
pub fn id(id: &str, _context: &()) -> garde::Result {
    check_id(id).map_err(garde::Error::new)
}

/// A text that says something, on one line.
///
/// # Errors
/// What the text must be.
pub fn text(text: &str, _context: &()) -> garde::Result {
    check_text(text).map_err(garde::Error::new)
}
