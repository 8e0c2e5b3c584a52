//! What is wrong with a gRPC request, field by field, told all at once. HTTP's requests keep `garde` rules.

use axum::http::StatusCode;
use samspill::Problem;

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
