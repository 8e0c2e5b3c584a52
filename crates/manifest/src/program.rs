//! From images to executables: what must be built, and where it is then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use samspill_model::intent::Intent;

use crate::Loaded;
use crate::intent::ProgramSource;
use crate::local::{Image, ImageBuild, Local};
use crate::mistake::{Mistake, Mistakes, quoted};

/// Something to build before the programs can run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Build {
    /// A package of the cargo workspace. Its one binary, or the one of its name, is the program.
    Package(String),
    /// A command for `sh -c`, run in the folder of the manifests.
    Command(String),
}

pub(crate) fn builds(programs: &[ProgramSource], local: &Local) -> Vec<Build> {
    let build = |program: &ProgramSource| match local.images[program.mapping].build.as_ref()? {
        ImageBuild::Package(package) => Some(Build::Package(package.value.clone())),
        ImageBuild::Command(command) => Some(Build::Command(command.value.clone())),
    };
    programs.iter().filter_map(build).collect::<BTreeSet<_>>().into_iter().collect()
}

impl Loaded {
    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The namespaces that Deployments are in, ordered.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.intent.workloads.iter().map(|workload| workload.name.namespace.as_str()).collect()
    }

    /// The intent, every workload with its executable. `built` says where cargo has put the binary of each package.
    ///
    /// # Errors
    /// A program cannot be found: what was tried is listed.
    pub fn resolve(mut self, built: &BTreeMap<String, PathBuf>) -> Result<Intent, Mistakes> {
        let mut mistakes = Vec::new();
        for (workload, source) in self.intent.workloads.iter_mut().zip(&self.programs) {
            match executable(&self.local.images[source.mapping], &self.folder, built) {
                Ok(executable) => workload.program.executable = executable,
                Err(tried) => {
                    let message = format!("the program for the image {} cannot be found", quoted(&source.image.value));
                    let mapping = &self.local.images[source.mapping].prefix.at;
                    let mistake = Mistake::at(message, &source.image.at).also("the image is mapped here", mapping);
                    mistakes.push(Mistake { tried, ..mistake });
                }
            }
        }
        Mistakes::check(mistakes)?;
        Ok(self.intent)
    }
}

/// The executable, or what was tried in vain.
fn executable(image: &Image, folder: &Path, built: &BTreeMap<String, PathBuf>) -> Result<PathBuf, Vec<String>> {
    let mut tried = Vec::new();
    if let Some(exec) = &image.exec {
        return check(folder.join(&exec.value), "`exec`").map_err(|problem| vec![problem]);
    }
    if let Some(ImageBuild::Package(package)) = &image.build {
        match built.get(&package.value) {
            Some(path) => match check(path.clone(), "what cargo has built") {
                Ok(path) => return Ok(path),
                Err(problem) => tried.push(problem),
            },
            None => tried.push(format!("cargo has built no binary of the package {}", quoted(&package.value))),
        }
    }
    Err(tried)
}

/// A path that can be executed.
fn check(path: PathBuf, what: &str) -> Result<PathBuf, String> {
    let problem = match std::fs::metadata(&path) {
        Err(error) => error.to_string(),
        Ok(metadata) if !metadata.is_file() => "it is no file".to_owned(),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => "it is not executable (chmod +x)".to_owned(),
        Ok(_) => return Ok(path),
    };
    Err(format!("{}, from {what}: {problem}", path.display()))
}
