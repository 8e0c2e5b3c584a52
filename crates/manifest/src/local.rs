//! `samspill.local.yaml`: what a cluster cannot know. Which program an image is, secret values, the edge's port,
//! commands to try.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::kinds::container::is_variable_name;
use crate::kinds::values::Values;
use crate::mistake::{Mistake, quoted};
use crate::read::{Document, Item, Located};
use crate::yaml::Node;

/// The file's name, in the folder that `up` is given.
pub(crate) const FILE_NAME: &str = "samspill.local.yaml";

#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) images: Vec<Image>,
    /// By `name` or `namespace/name`.
    pub(crate) secrets: BTreeMap<String, (Located<String>, Values)>,
    pub(crate) edge_port: Option<u16>,
    pub(crate) examples: Vec<Example>,
}

/// A command that a user may want to try when all is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What it does, in a word or two.
    pub title: String,
    /// A line for the shell; `$(EDGE)` in it stands for the address of the edge, `http://127.0.0.1:8080`.
    pub command: String,
}

/// Which program stands for the images of a repository.
#[derive(Debug)]
pub(crate) struct Image {
    /// A repository, or the first segments of several.
    pub(crate) prefix: Located<String>,
    pub(crate) build: Option<ImageBuild>,
    /// Absolute, or relative to the folder.
    pub(crate) exec: Option<Located<String>>,
    pub(crate) workdir: Option<Located<String>>,
    pub(crate) env: BTreeMap<String, Located<String>>,
}

#[derive(Debug)]
pub(crate) enum ImageBuild {
    /// A package of the cargo workspace, which has one binary.
    Package(Located<String>),
    /// Any command, run by `sh -c` in the folder.
    Command(Located<String>),
}

pub(crate) fn read(node: &Node, document: &Document<'_>, folder: &Path) -> Local {
    let root = Item::root(node, document);
    let mut fields = root.fields();
    let images = fields.optional("images").map(|item| item.entries()).unwrap_or_default();
    let images = images.into_iter().map(|(prefix, item)| image(prefix, &item)).collect();
    let mut secrets = BTreeMap::new();
    if let Some(item) = fields.optional("secrets") {
        // Their values are never shown, wherever the mistake is.
        let hidden = document.hiding();
        for (name, item) in item.hidden_by(&hidden).entries() {
            let values = secret(&item, folder);
            secrets.insert(name.value.clone(), (name, values));
        }
    }
    let edge_port = fields.optional("ports").and_then(|item| ports(&item));
    let examples = fields.optional("try").map(|item| item.entries()).unwrap_or_default();
    let example = |(title, item): (Located<String>, Item<'_>)| {
        Some(Example { title: title.value, command: item.string()?.value })
    };
    let examples = examples.into_iter().filter_map(example).collect();
    fields.finish();
    Local { images, secrets, edge_port, examples }
}

fn image(prefix: Located<String>, item: &Item<'_>) -> Image {
    let last = prefix.value.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) || prefix.value.split('/').any(str::is_empty) {
        let mistake = Mistake::at(format!("{} is no repository", quoted(&prefix.value)), &prefix.at);
        item.report(mistake.expected("an image's name, or its first segments, without tag or digest"));
    }
    let mut fields = item.fields();
    let build = fields.optional("build").and_then(|item| build(&item));
    let exec = fields.optional("exec").and_then(|item| item.string());
    let workdir = fields.optional("workdir").and_then(|item| item.string());
    let mut env = BTreeMap::new();
    for (name, value) in fields.optional("env").map(|item| item.entries()).unwrap_or_default() {
        if !is_variable_name(&name.value) {
            item.report(Mistake::at(format!("{} cannot be the name of a variable", quoted(&name.value)), &name.at));
        }
        if let Some(value) = value.string() {
            env.insert(name.value, value);
        }
    }
    let is_broken = fields.has("build") && build.is_none();
    if exec.is_none() && !is_broken && !matches!(build, Some(ImageBuild::Package(_))) {
        let mistake = item.mistake("this names no program");
        item.report(mistake.expected("`build: {package: NAME}`, or `exec` with the path of a program"));
    }
    fields.finish();
    Image { prefix, build, exec, workdir, env }
}

fn build(item: &Item<'_>) -> Option<ImageBuild> {
    if !item.is_mapping() {
        return item.string().map(ImageBuild::Command);
    }
    let mut fields = item.fields();
    let package = fields.required("package").and_then(|item| {
        let package = item.string()?;
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if package.value.starts_with('-') || package.value.is_empty() || !package.value.bytes().all(allowed) {
            item.report(item.mistake(format!("{} is no name of a cargo package", quoted(&package.value))));
            return None;
        }
        Some(package)
    });
    fields.finish();
    package.map(ImageBuild::Package)
}

/// Keys and values; those in the file of `fromEnvFile` first, so that a key beside it wins.
fn secret(item: &Item<'_>, folder: &Path) -> Values {
    let mut values = Values::new();
    let mut own = Values::new();
    for (key, value) in item.entries() {
        let Some(text) = value.string() else { continue };
        if key.value == "fromEnvFile" {
            values = env_file(&value, &text, folder);
        } else {
            own.insert(key.value, text);
        }
    }
    values.extend(own);
    values
}

fn env_file(item: &Item<'_>, path: &Located<String>, folder: &Path) -> Values {
    let file: PathBuf = folder.join(&path.value);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let mistake = item.mistake(format!("cannot read {}: {error}", quoted(&path.value)));
            item.report(mistake.expected("a file of lines KEY=VALUE, relative to the folder"));
            return Values::new();
        }
    };
    let mut values = Values::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) if is_variable_name(key.trim()) && !value.contains('\0') => {
                let value = Located { value: unquoted(value.trim()).to_owned(), at: path.at.clone() };
                values.insert(key.trim().to_owned(), value);
            }
            _ => {
                let message = format!("line {} of {} is not KEY=VALUE", number + 1, quoted(&path.value));
                item.report(item.mistake(message));
            }
        }
    }
    values
}

/// Without one pair of quotes around it; what is inside is taken as it stands.
fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn ports(item: &Item<'_>) -> Option<u16> {
    let mut fields = item.fields();
    let edge = fields.optional("edge");
    fields.finish();
    let edge = edge?;
    let mut fields = edge.fields();
    let port = fields.required("hostPort").and_then(|item| item.port());
    fields.finish();
    port
}

impl Local {
    /// The mapping for an image: the longest prefix, by segments, of its repository.
    pub(crate) fn image(&self, image: &str) -> Option<&Image> {
        let repository = repository(image);
        let matches =
            |prefix: &str| repository.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.images.iter().filter(|image| matches(&image.prefix.value)).max_by_key(|image| image.prefix.value.len())
    }
}

/// An image's name without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// An image's tag.
pub(crate) fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_repositories_and_tags() {
        for (image, expected, expected_tag) in [
            ("web", "web", None),
            ("team/web:1.2", "team/web", Some("1.2")),
            ("localhost:5000/web", "localhost:5000/web", None),
            ("localhost:5000/web:1", "localhost:5000/web", Some("1")),
            ("web:1@sha256:00ff", "web", Some("1")),
            ("web@sha256:00ff", "web", None),
        ] {
            assert_eq!((repository(image), tag(image)), (expected, expected_tag), "{image}");
        }
    }

    #[test]
    fn a_value_loses_one_pair_of_quotes() {
        assert_eq!(unquoted("\"a b\""), "a b");
        assert_eq!(unquoted("''x''"), "'x'");
        assert_eq!(unquoted("it's"), "it's");
        assert_eq!(unquoted("\""), "\"");
    }
}
