//! Protobuf packages, compared as `buf breaking` does in its category WIRE_JSON, and more strictly where it costs callers a rebuild.
//!
//! The numbers and the names in JSON are the contract. What is new is no harm: protobuf's readers pass over what they do not know.

mod compare;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prost_types::FileDescriptorProto;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use thiserror::Error;

use crate::Change;

/// A protobuf package: all of its files in one folder.
#[derive(Clone, Debug)]
pub struct Proto {
    package: String,
    files: Vec<FileDescriptorProto>,
}

/// The files do not compile.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ProtoError {
    /// The file, relative to the folder, where it is known.
    pub file: Option<String>,
    /// What is wrong, beginning with its place.
    message: String,
}

impl Proto {
    /// Compiles a folder of files, and sorts them by package.
    ///
    /// `own` has each file of the folder under the name that others import it by. What is found neither there nor in protobuf's own
    /// library is looked for in `others`, the other folders.
    ///
    /// # Errors
    ///
    /// [`ProtoError`]: the first mistake, for whoever has written the file.
    pub fn compile(
        own: &BTreeMap<String, String>,
        others: &[&BTreeMap<String, String>],
    ) -> Result<BTreeMap<String, Self>, ProtoError> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(own.clone()));
        resolver.add(GoogleFileResolver::new());
        for other in others {
            resolver.add(Sources((*other).clone()));
        }
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        let wrong = |error: protox::Error| ProtoError {
            file: error.file().map(str::to_owned),
            // Its `Debug` form has the line and column, its `Display` form has not.
            message: format!("{error:?}"),
        };
        compiler.open_files(own.keys()).map_err(wrong)?;
        let mut packages: BTreeMap<String, Self> = BTreeMap::new();
        for file in compiler.file_descriptor_set().file {
            let name = file.package().to_owned();
            let package = packages.entry(name.clone()).or_insert_with(|| Self { package: name, files: Vec::new() });
            package.files.push(file);
        }
        Ok(packages)
    }

    /// All differences, those of one message or service together.
    #[must_use]
    pub fn compare(old: &Self, new: &Self) -> Vec<Change> {
        compare::packages(old, new)
    }

    /// How many methods its services have.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.files.iter().flat_map(|file| &file.service).map(|service| service.method.len()).sum()
    }

    /// The names of its files, as they are imported.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(FileDescriptorProto::name)
    }
}

/// Files that were read already.
struct Sources(BTreeMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
