//! The files of a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::local;
use crate::mistake::{Mistake, Mistakes, Place, Source, quoted};
use crate::yaml::MAX_BYTES;

/// More files are a wrong folder.
const MAX_FILES: usize = 1000;

/// What a folder holds, read.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) manifests: Vec<Arc<Source>>,
    pub(crate) local: Option<Arc<Source>>,
    /// Whether a file that should be here could not be read, which has been reported.
    pub(crate) is_incomplete: bool,
}

/// The folder that the user has typed, absolute.
pub(crate) fn find(typed: &Path) -> Result<PathBuf, Mistakes> {
    let expected = "a folder of Kubernetes manifests";
    match typed.canonicalize() {
        Ok(folder) if folder.is_dir() => Ok(folder),
        Ok(_) => {
            let parent = typed.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mistake = Mistake::new(format!("`{}` is a file", typed.display())).expected(expected);
            Err(Mistakes::only(mistake.hint(format!("give the folder that holds it: `{}`", parent.display()))))
        }
        Err(_) => {
            let mistake = Mistake::new(format!("there is no folder `{}`", typed.display()));
            Err(Mistakes::only(mistake.expected(expected)))
        }
    }
}

/// Reads every `*.yaml` and `*.yml` of a folder and its subfolders. Places in them are told as the user, who has `typed` the
/// folder, can open them. Names that begin with a dot, and folders `target` and
/// `node_modules`, are left out; links to folders are not followed.
pub(crate) fn read(folder: &Path, typed: &Path, mistakes: &mut Vec<Mistake>) -> Folder {
    let mut files = Vec::new();
    let mut found = Folder::default();
    list(folder, &mut files, mistakes);
    if files.len() > MAX_FILES {
        mistakes.push(Mistake::new(format!("more than {MAX_FILES} YAML files in {}", folder.display())));
        files.truncate(MAX_FILES);
    }
    files.sort();
    for file in files {
        let relative = file.strip_prefix(folder).unwrap_or(&file);
        let name = match typed == Path::new(".") {
            true => relative.display().to_string(),
            false => typed.join(relative).display().to_string(),
        };
        match text(&file) {
            Err(problem) => {
                found.is_incomplete = true;
                let source = Arc::new(Source { name, text: String::new() });
                mistakes.push(Mistake::at(format!("the file cannot be read: {problem}"), &Place::file(&source)));
            }
            Ok(text) if relative == Path::new(local::FILE_NAME) => found.local = Some(Arc::new(Source { name, text })),
            Ok(text) => {
                let source = Arc::new(Source { name, text });
                if file.file_name().is_some_and(|name| name == local::FILE_NAME) {
                    let message = format!("{} belongs into the folder that `up` is given", quoted(local::FILE_NAME));
                    mistakes.push(Mistake::at(message, &Place::file(&source)));
                } else {
                    found.manifests.push(source);
                }
            }
        }
    }
    found
}

fn list(folder: &Path, files: &mut Vec<PathBuf>, mistakes: &mut Vec<Mistake>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            mistakes.push(Mistake::new(format!("the folder {} cannot be read: {error}", folder.display())));
            return;
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if name.starts_with('.') || (is_folder && (name == "target" || name == "node_modules")) {
            continue;
        }
        if is_folder && files.len() <= MAX_FILES {
            list(&entry.path(), files, mistakes);
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            files.push(entry.path());
        }
    }
}

fn text(file: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned()); // reading a pipe could wait for ever
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, and {MAX_BYTES} is the limit", metadata.len()));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("line {line} is not UTF-8")
    })
}
