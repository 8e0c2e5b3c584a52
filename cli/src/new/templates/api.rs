//! The contract of {{name}}: what its callers may rely on, whoever implements it.
//!
//! The trait is the API. From it come the router, the client `{{Trait}}Client`, the mock `Mock{{Trait}}` and the documents.
//! Greetings are an example: put what your service does in their place.

use garde::Validate;
use samspill::extract::{Json, Valid};
use samspill::{ApiError, Call, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Greets people.
#[samspill::api(name = "{{name}}", versions = 1..=1)]
pub trait {{Trait}} {
    /// The languages that people can be greeted in.
    #[get("/languages")]
    async fn languages(&self, call: &Call) -> Result<Json<Languages>, GreetError>;

    /// Greets a person.
    #[post("/greetings")]
    async fn greet(&self, call: &Call, who: Valid<Json<Who>>)
    -> Result<Json<Greeting>, GreetError>;
}

/// Languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Languages {
    /// ISO 639-1 codes.
    pub languages: Vec<String>,
}

/// Who is to be greeted, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// A name, as people say it.
    #[garde(length(chars, min = 1, max = 100))]
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// An ISO 639-1 code.
    #[garde(length(bytes, equal = 2))]
    #[schemars(length(equal = 2))]
    pub language: String,
}

/// A greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Greeting {
    /// What to say.
    pub text: String,
}

/// Why nobody was greeted.
#[derive(Debug, ApiError)]
pub enum GreetError {
    /// `/languages` has those that can be spoken.
    #[problem(
        status = 422,
        title = "Language is not spoken",
        field("language", "nobody here speaks {language}")
    )]
    UnknownLanguage { language: String },
    /// Whatever else went wrong.
    #[problem(transparent)]
    Other(Problem),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SAMSPILL_WRITE_DOCUMENTS=1 cargo test` writes them anew.
    #[test]
    fn the_documents_are_those_that_are_committed() {
        samspill::test::assert_committed::<{{Trait}}Api>(env!("CARGO_MANIFEST_DIR"));
    }
}
