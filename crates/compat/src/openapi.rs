//! OpenAPI 3.0 documents.

mod pointer;

mod operation;

mod schema;

mod flat;

#[cfg(test)]
mod tests;

use serde_json::Value;
use thiserror::Error;

use crate::Change;
use operation::operations;
use pointer::Found;
use schema::Comparison;

/// A document that was read and can be compared.
#[derive(Clone, Debug)]
pub struct OpenApi {
    root: Value,
}

/// Since when a version is deprecated, and when it ends: `x-samspill-deprecated` of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The day that callers are told of: `2026-11-01`.
    pub since: String,
    /// The day from which it may be gone.
    pub sunset: Option<String>,
}

/// Why a text is no document that can be compared.
#[derive(Debug, Error)]
pub enum OpenApiError {
    /// It is not JSON at all, or it is nested more than 127 levels deep.
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON, and something else.
    #[error("it is no OpenAPI document: it has no `openapi` and no `paths`")]
    Other,
    /// It is written in another version of OpenAPI. Write 3.0.3.
    #[error("it is OpenAPI {0}; blessed documents are OpenAPI 3.0.3")]
    Dialect(String),
    /// A `$ref` leads to nothing in the same document, or round in a circle.
    #[error("`$ref` at {pointer} leads nowhere: {reference}")]
    Reference {
        /// Where the reference stands.
        pointer: String,
        /// What it says.
        reference: String,
    },
}

impl OpenApi {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// See [`OpenApiError`]: each is for whoever has written the document.
    pub fn parse(text: &str) -> Result<Self, OpenApiError> {
        let root: Value = serde_json::from_str(text).map_err(OpenApiError::Json)?;
        let dialect = root.get("openapi").or_else(|| root.get("swagger"));
        match dialect.and_then(Value::as_str) {
            None => return Err(OpenApiError::Other),
            Some(version) if version == "3.0" || version.starts_with("3.0.") => {}
            Some(version) => return Err(OpenApiError::Dialect(version.to_owned())),
        }
        if !root.get("paths").is_some_and(Value::is_object) {
            return Err(OpenApiError::Other);
        }
        pointer::check(&root).map_err(|(pointer, reference)| OpenApiError::Reference { pointer, reference })?;
        Ok(Self { root })
    }

    /// All differences between two states of one version, those of one operation together.
    #[must_use]
    pub fn compare(old: &Self, new: &Self) -> Vec<Change> {
        Self::differences(old, new, ("", ""))
    }

    /// All differences between two versions: `/v1/quotes` of the one is `/v2/quotes` of the other, if all paths begin like that.
    #[must_use]
    pub fn compare_versions(old: &Self, new: &Self) -> Vec<Change> {
        let prefixes = (old.version_prefix(), new.version_prefix());
        match prefixes {
            (Some(before), Some(after)) => Self::differences(old, new, (&before, &after)),
            _ => Self::compare(old, new),
        }
    }

    fn differences(old: &Self, new: &Self, prefixes: (&str, &str)) -> Vec<Change> {
        let mut comparison = Comparison::new(&old.root, &new.root);
        comparison.documents(prefixes);
        let mut changes = comparison.finish();
        changes.sort_by(|a, b| (&a.steps, a.rule, &a.pointer).cmp(&(&b.steps, b.rule, &b.pointer)));
        changes.dedup();
        changes
    }

    /// `/v2`, where every path begins with it.
    fn version_prefix(&self) -> Option<String> {
        let mut paths = self.root.get("paths")?.as_object()?.keys();
        let prefix = format!("/{}", paths.next()?.split('/').nth(1)?);
        let is_version =
            prefix.strip_prefix("/v").is_some_and(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
        let begins =
            |path: &String| path.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (is_version && paths.all(begins)).then_some(prefix)
    }

    /// `info.title`.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.root.get("info")?.get("title")?.as_str()
    }

    /// How many verbs and paths it has.
    #[must_use]
    pub fn operations(&self) -> usize {
        operations(&Found::root(&self.root), "").len()
    }

    /// What `x-samspill-deprecated` says, at the top or in `info`.
    #[must_use]
    pub fn deprecated(&self) -> Option<Deprecated> {
        const KEY: &str = "x-samspill-deprecated";
        let said = self.root.get(KEY).or_else(|| self.root.get("info")?.get(KEY))?;
        let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Deprecated { since: text("since")?, sunset: text("sunset") })
    }
}
