//! Committed documents: what is on the main branch is a promise, so a change must be seen in review.

use std::path::{Path, PathBuf};

use super::{Contract, Dialect};
use crate::settings::Environment;

/// Set to `1`, it writes the documents instead of comparing them.
const WRITE: &str = "SAMSPILL_WRITE_DOCUMENTS";

/// Ends the test of a contract crate whose committed documents, `openapi/v1.json` and so on, are not those of its trait.
///
/// `SAMSPILL_WRITE_DOCUMENTS=1 cargo test` writes them; `samspill api check` says whether what changed may change.
///
/// ```no_run
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// #[test]
/// fn the_documents_are_those_that_are_committed() {
///     samspill::test::assert_committed::<StatisticsApi>(env!("CARGO_MANIFEST_DIR"));
/// }
/// ```
///
/// # Panics
/// A document is missing or different, or `openapi/` has one of a version that is not there.
#[track_caller]
pub fn assert_committed<C: Contract>(crate_folder: impl AsRef<Path>) {
    let folder = crate_folder.as_ref().join("openapi");
    let api = C::api();
    let documents = api.versions().filter_map(|version| {
        let document = api.openapi(version, Dialect::V3_0)?;
        Some((folder.join(format!("v{version}.json")), document.to_string()))
    });
    let documents: Vec<(PathBuf, String)> = documents.collect();
    if Environment::of_process().get(WRITE) == Some("1") {
        write(&folder, &documents).unwrap_or_else(|error| panic!("{} cannot be written: {error}", folder.display()));
        return;
    }
    for (path, document) in &documents {
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == *document,
            "{} is not the document of `{}`: {}\nhint: {WRITE}=1 cargo test, then look at the difference",
            path.display(),
            api.name(),
            first_difference(&committed, document),
        );
    }
    let known = |path: &PathBuf| documents.iter().any(|(known, _)| known == path);
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    if let Some(other) = entries.into_iter().find(|path| !known(path)) {
        panic!("{} is of no version of `{}`", other.display(), api.name());
    }
}

fn write(folder: &Path, documents: &[(PathBuf, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    documents.iter().try_for_each(|(path, document)| std::fs::write(path, document))
}

fn first_difference(committed: &str, document: &str) -> String {
    if committed.is_empty() {
        return "it is missing".to_owned();
    }
    let mut lines = committed.lines().zip(document.lines()).zip(1..);
    match lines.find(|((committed, generated), _)| committed != generated) {
        Some(((committed, generated), line)) => {
            format!("line {line} is `{}`, and should be `{}`", committed.trim(), generated.trim())
        }
        None => "one ends before the other".to_owned(),
    }
}
