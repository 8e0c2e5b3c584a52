//! The git program, which is asked and changes nothing.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exit::Failure;

/// The branches that bless, where nobody names one.
const MAIN: [&str; 2] = ["origin/main", "main"];

/// A working tree, with its history.
#[derive(Debug)]
pub(super) struct Repository {
    /// The working tree's uppermost folder.
    pub(super) root: PathBuf,
}

/// What is blessed: the commit that HEAD has in common with the main branch.
#[derive(Debug)]
pub(super) struct Base {
    /// As it was named: `origin/main`.
    pub(super) name: String,
    pub(super) commit: String,
}

impl Base {
    /// For people: `origin/main (1a2b3c4)`.
    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.name, self.commit.get(..7).unwrap_or(&self.commit))
    }
}

impl Repository {
    /// The one that a folder belongs to.
    pub(super) fn around(folder: &Path) -> Result<Self, Failure> {
        if !folder.is_dir() {
            return Err(Failure::usage(format!("`{}` is no folder", folder.display())));
        }
        let said = git(folder, ["rev-parse", "--show-toplevel"])?;
        match said {
            Ok(root) => Ok(Self { root: PathBuf::from(root.trim_end_matches('\n')) }),
            Err(words) if words.contains("not a git repository") => {
                let folder = std::path::absolute(folder).unwrap_or_else(|_error| folder.to_owned());
                let failure = Failure::usage(format!("`{}` is in no git repository", folder.display()));
                Err(failure.hint(
                    "blessed documents are those that are committed on the main branch; begin with: git init -b main",
                ))
            }
            Err(words) => Err(Failure::usage(words)),
        }
    }

    pub(super) fn base(&self, given: Option<&str>) -> Result<Base, Failure> {
        let Some(head) = self.commit("HEAD")? else {
            let failure = Failure::usage("the repository has no commit yet, so nothing is blessed");
            return Err(failure.hint("git add . && git commit"));
        };
        let mut names = given.as_slice().iter().chain(if given.is_some() { &[] } else { &MAIN[..] });
        let (name, tip) = loop {
            let Some(name) = names.next() else { return Err(no_base(given)) };
            if let Some(tip) = self.commit(name)? {
                break (*name, tip);
            }
        };
        match self.git(["merge-base", &tip, &head])? {
            Ok(commit) => Ok(Base { name: name.to_owned(), commit: commit.trim().to_owned() }),
            Err(_) => {
                let failure = Failure::usage(format!("HEAD and {name} have no commit in common"));
                Err(failure
                    .hint("in a shallow clone: git fetch --unshallow (GitHub's actions/checkout: fetch-depth: 0)"))
            }
        }
    }

    /// The commit behind a name, if there is one.
    pub(super) fn commit(&self, name: &str) -> Result<Option<String>, Failure> {
        let commit = format!("{name}^{{commit}}");
        let said = self.git(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
        Ok(said.ok().map(|commit| commit.trim().to_owned()))
    }

    /// All files of the working tree but the ignored ones, as paths from the root with `/`.
    pub(super) fn files(&self) -> Result<Vec<String>, Failure> {
        let said = self.git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut files = names(&said.map_err(Failure::usage)?);
        files.retain(|file| self.root.join(file).is_file());
        Ok(files)
    }

    pub(super) fn files_at(&self, commit: &str) -> Result<Vec<String>, Failure> {
        let said = self.git(["ls-tree", "-r", "-z", "--full-tree", "--name-only", commit])?;
        Ok(names(&said.map_err(Failure::usage)?))
    }

    /// The text of a file in a commit. Bytes that are no UTF-8 are replaced, and found wrong by whoever parses it.
    pub(super) fn read_at(&self, commit: &str, file: &str) -> Result<String, Failure> {
        self.git(["show", "--no-textconv", "--end-of-options", &format!("{commit}:{file}")])?.map_err(Failure::usage)
    }

    /// git's own rule for `REF:PATH`: from the root, unless it begins with `./` or `../`.
    pub(super) fn path_from_root(&self, path: &str) -> String {
        if !path.starts_with("./") && !path.starts_with("../") {
            return path.to_owned();
        }
        let here = std::env::current_dir().and_then(|folder| folder.canonicalize()).unwrap_or_default();
        let root = self.root.canonicalize().unwrap_or_default();
        let mut parts: Vec<&str> = Vec::new();
        let below = here.strip_prefix(&root).map(|below| below.to_string_lossy().into_owned()).unwrap_or_default();
        for part in below.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Result<String, String>, Failure> {
        git(&self.root, arguments)
    }
}

fn no_base(given: Option<&str>) -> Failure {
    match given {
        Some(name) => Failure::usage(format!("git knows no branch or commit `{name}`"))
            .hint("git branch --all lists the branches"),
        None => Failure::usage("there is neither a branch `origin/main` nor `main`: nothing says what is blessed")
            .hint("fetch it (git fetch origin main), or name another one: --base BRANCH"),
    }
}

/// What git answers on stdout, or its words on stderr if it refuses.
fn git<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<Result<String, String>, Failure> {
    let mut command = Command::new("git");
    // Its words are matched once, in English.
    command.arg("-C").arg(folder).args(arguments.into_iter().map(OsStr::new)).env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::usage("the program `git` is not on the PATH").hint("install git, such as: apt install git")
        }
        _ => Failure::usage(format!("git cannot be run: {error}")),
    })?;
    if output.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Ok(Err(words.trim().trim_start_matches("fatal: ").to_owned()))
}

fn names(list: &str) -> Vec<String> {
    let mut names: Vec<String> = list.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}
