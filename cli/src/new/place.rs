//! All or nothing: a new folder, files beside it, and edits of files that are there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment;
use crate::exit::Failure;

/// What is to be written. Nothing of it is, until it is carried out.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where the new folder will be. It need not exist either.
    parent: PathBuf,
    /// The new folder's name.
    name: String,
    /// Its files, in the order that they are told in.
    files: Vec<(String, String)>,
    /// New files beside the new folder.
    beside: Vec<(&'static str, String)>,
    edits: Vec<Edit>,
}

/// A file that changes.
#[derive(Debug)]
struct Edit {
    path: PathBuf,
    before: String,
    after: String,
    /// What changes, in words.
    what: String,
}

impl Plan {
    pub(super) fn new(parent: PathBuf, name: String) -> Self {
        Self { parent, name, files: Vec::new(), beside: Vec::new(), edits: Vec::new() }
    }

    /// A file of the new folder.
    pub(super) fn file(&mut self, path: impl Into<String>, text: String) {
        self.files.push((path.into(), text));
    }

    /// A new file beside the new folder.
    pub(super) fn beside(&mut self, name: &'static str, text: String) {
        self.beside.push((name, text));
    }

    /// The same, where nobody has one.
    pub(super) fn beside_unless_there(&mut self, name: &'static str, text: String) {
        if std::fs::symlink_metadata(self.parent.join(name)).is_err() {
            self.beside(name, text);
        }
    }

    pub(super) fn edit(&mut self, path: PathBuf, before: String, after: String, what: impl Into<String>) {
        self.edits.push(Edit { path, before, after, what: what.into() });
    }

    /// All paths, for the person who will have them; `typed` is what was typed for the parent.
    pub(super) fn told(&self, typed: &Path) -> String {
        let mut text = String::new();
        for (path, _) in &self.files {
            text.push_str(&format!("new      {}\n", shown(&typed.join(&self.name).join(path))));
        }
        for (name, _) in &self.beside {
            text.push_str(&format!("new      {}\n", shown(&typed.join(name))));
        }
        let here = environment::current_dir().and_then(|here| here.canonicalize().ok()).unwrap_or_default();
        for edit in &self.edits {
            let path = match (edit.path.strip_prefix(&self.parent), edit.path.strip_prefix(here.as_path())) {
                (Ok(inside), _) => typed.join(inside),
                (Err(_), Ok(inside)) => inside.to_owned(),
                (Err(_), Err(_)) => edit.path.clone(),
            };
            text.push_str(&format!("changed  {}: {}\n", shown(&path), edit.what));
        }
        text
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Something could not be written, or was there already: everything is as it was.
    pub(super) fn carry_out(self) -> Result<(), Failure> {
        let mut undo = Undo(Vec::new());
        self.write(&mut undo).map_err(|(path, error)| {
            Failure::new(format!("cannot write `{}`: {error}; nothing was changed", path.display()))
        })?;
        undo.0.clear();
        Ok(())
    }

    fn write(self, undo: &mut Undo) -> Result<(), (PathBuf, io::Error)> {
        // The folder that it will be in.
        let missing: Vec<&Path> = self.parent.ancestors().take_while(|folder| !folder.exists()).collect();
        undo.0.extend(missing.into_iter().rev().map(|folder| Step::Parent(folder.to_owned())));
        fs::create_dir_all(&self.parent).map_err(|error| (self.parent.clone(), error))?;

        // All of the new folder under another name, which no reader of manifests looks at.
        let staged = self.parent.join(format!(".{}.{}.new", self.name, std::process::id()));
        fs::create_dir(&staged).map_err(|error| (staged.clone(), error))?;
        undo.0.push(Step::Folder(staged.clone()));
        for (path, text) in &self.files {
            let path = staged.join(path);
            let folder = path.parent().unwrap_or(&staged);
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|error| (path, error))?;
        }

        let code = self.files.iter().map(|(path, _)| staged.join(path));
        format(&code.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect::<Vec<_>>());

        // Creating the folder claims the name: a rename alone would replace an empty one.
        let target = self.parent.join(&self.name);
        fs::create_dir(&target).map_err(|error| (target.clone(), error))?;
        undo.0.push(Step::Folder(target.clone()));
        fs::rename(&staged, &target).map_err(|error| (target, error))?;

        for (name, text) in &self.beside {
            let path = self.parent.join(name);
            let created = fs::File::create_new(&path);
            let mut file = created.map_err(|error| (path.clone(), error))?;
            undo.0.push(Step::File(path.clone()));
            file.write_all(text.as_bytes()).map_err(|error| (path, error))?;
        }
        for Edit { path, before, after, .. } in &self.edits {
            replace(path, before, after).map_err(|error| (path.clone(), error))?;
            undo.0.push(Step::Text { path: path.clone(), before: before.clone(), after: after.clone() });
        }
        Ok(())
    }
}

/// Formats code by the `rustfmt.toml` that the folder is under. Without rustfmt it stays in the usual format.
fn format(code: &[PathBuf]) {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024"]).args(code);
    let _ = rustfmt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Exchanges a file's text at once, if it is still what we have read.
fn replace(path: &Path, before: &str, after: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    let permissions = fs::metadata(&path)?.permissions();
    let staging = fs::write(&staged, after).and_then(|()| fs::set_permissions(&staged, permissions));
    let outcome = staging.and_then(|()| {
        if fs::read_to_string(&path)? != before {
            return Err(io::Error::other("somebody else has changed it in this moment"));
        }
        fs::rename(&staged, &path)
    });
    if outcome.is_err() {
        let _ = fs::remove_file(&staged);
    }
    outcome
}

/// Takes back what was done, the newest first, unless it is emptied.
struct Undo(Vec<Step>);

enum Step {
    /// We have made it, so all in it is ours.
    Folder(PathBuf),
    /// We have made it, and somebody else may have put something there since.
    Parent(PathBuf),
    File(PathBuf),
    Text {
        path: PathBuf,
        before: String,
        after: String,
    },
}

impl Drop for Undo {
    fn drop(&mut self) {
        for step in self.0.drain(..).rev() {
            // A failure to tidy up after a failure has nobody left to tell; the first one is told.
            let _ = match step {
                Step::Folder(path) => fs::remove_dir_all(path),
                Step::Parent(path) => fs::remove_dir(path),
                Step::File(path) => fs::remove_file(path),
                Step::Text { path, before, after } => replace(&path, &after, &before),
            };
        }
    }
}

/// An absolute path without links, as far as it exists.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    for folder in path.ancestors() {
        if let Ok(found) = folder.canonicalize() {
            return Ok(missing.iter().rev().fold(found, |path, name| path.join(name)));
        }
        match folder.file_name() {
            Some(name) => missing.push(name.to_owned()),
            None => break, // `..` of a folder that does not exist
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` leads nowhere", path.display())))
}

/// Without the `./` of the folder where the user stands.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
