//! From a folder of Kubernetes manifests, and one local file, to an [`Intent`].
//!
//! Every field of a supported kind is honoured, or accepted because only a cluster has a use for it, or a mistake; the list is
//! `docs/reference/manifests.md`. All mistakes of all files are told at once, each with its place, before anything starts.
//!
//! Two steps: [`load`] reads and checks, and says what must be built; [`Loaded::resolve`] takes what was built.
//!
//! Reading order: `folder` (files), `yaml` (text to tree), `read` (tree to fields), `kinds` (the objects), `local` (the local
//! file), `catalogue` (lookup), `environment` and `intent` (references followed), `program` (images to executables), `mistake`
//! (how all of it is told).

mod folder;

mod yaml;

mod read;

mod kinds;

mod local;

mod catalogue;

mod environment;

mod intent;

mod program;

mod mistake;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use samspill_model::intent::Intent;

use catalogue::Catalogue;
use kinds::KINDS;
use local::Local;
use mistake::{Mistake, Source};
use read::{Document, Findings};

pub use local::Example;
pub use mistake::{Mistakes, Place, Warning};
pub use program::Build;
pub use read::ClusterOnly;

/// A folder that was read and found right. Its programs may still have to be built.
pub struct Loaded {
    /// What must be built before [`resolve`](Self::resolve), without repetition.
    pub builds: Vec<Build>,
    /// Fields that only a cluster has a use for, once each.
    pub cluster_only: Vec<ClusterOnly>,
    /// What is accepted and probably not meant.
    pub warnings: Vec<Warning>,
    /// Where the edge listens, if the local file says so.
    pub edge_port: Option<u16>,
    /// Commands to show to the user when all is ready.
    pub examples: Vec<Example>,
    folder: PathBuf,
    intent: Intent,
    programs: Vec<intent::ProgramSource>,
    local: Local,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("folder", &self.folder).finish_non_exhaustive() // the rest holds secrets
    }
}

/// Reads every manifest of a folder, its subfolders included, and `samspill.local.yaml`.
///
/// # Errors
/// Everything that is wrong with the files: show it, and start nothing.
pub fn load(folder: &Path) -> Result<Loaded, Mistakes> {
    let mut mistakes = Vec::new();
    let typed = folder;
    let folder = folder::find(typed)?;
    let files = folder::read(&folder, typed, &mut mistakes);
    let findings = Findings::default();
    let mut incomplete = BTreeSet::new();
    if files.is_incomplete {
        incomplete.extend(KINDS.map(|(_, kind)| kind));
        incomplete.insert(local::FILE_NAME);
    }
    let mut objects = Vec::new();
    for source in &files.manifests {
        let (documents, is_whole) = yaml::parse(source, &mut mistakes);
        if !is_whole {
            incomplete.extend(KINDS.map(|(_, kind)| kind));
        }
        for node in &documents {
            match kinds::object(node, &mut document(source, &findings)) {
                Ok(object) => {
                    if !object.metadata.is_well_named {
                        incomplete.insert(object.kind);
                    }
                    objects.push(object);
                }
                Err(unreadable) => incomplete.extend(unreadable.0),
            }
        }
    }
    if mistakes.is_empty() && files.manifests.is_empty() {
        let mistake = Mistake::new(format!("there is no manifest in `{}`", folder.display()));
        mistakes.push(mistake.expected("files *.yaml with a Deployment and a Service"));
    }
    let local = match &files.local {
        None => Local::default(),
        Some(source) => local_file(source, &folder, &findings, &mut mistakes, &mut incomplete),
    };
    let catalogue = Catalogue::new(objects, local, incomplete, &findings);
    let (intent, programs) = intent::assemble(&catalogue, &folder, &findings);
    mistakes.append(&mut findings.mistakes.borrow_mut());
    Mistakes::check(mistakes)?;
    let builds = program::builds(&programs, &catalogue.local);
    Ok(Loaded {
        builds,
        cluster_only: findings.cluster_only.into_inner(),
        warnings: findings.warnings.into_inner(),
        edge_port: catalogue.local.edge_port,
        examples: catalogue.local.examples.clone(),
        folder,
        intent,
        programs,
        local: catalogue.local,
    })
}

fn document<'a>(source: &Arc<Source>, findings: &'a Findings) -> Document<'a> {
    Document { source: Arc::clone(source), kind: String::new(), secret: false, findings }
}

fn local_file(
    source: &Arc<Source>,
    folder: &Path,
    findings: &Findings,
    mistakes: &mut Vec<Mistake>,
    incomplete: &mut BTreeSet<&'static str>,
) -> Local {
    let (documents, is_whole) = yaml::parse(source, mistakes);
    if !is_whole {
        incomplete.extend([local::FILE_NAME, "Secret"]);
    }
    if let Some(second) = documents.get(1) {
        let document = document(source, findings);
        let second = read::Item::root(second, &document);
        second.report(second.mistake("only one document is possible in this file"));
    }
    let document = Document { kind: local::FILE_NAME.to_owned(), ..document(source, findings) };
    documents.first().map(|node| local::read(node, &document, folder)).unwrap_or_default()
}
