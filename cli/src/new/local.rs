//! The mesh's side: what the manifests beside the new service say, and its lines in `samspill.local.yaml`.

use std::path::{Path, PathBuf};

use super::name::Name;
use super::place::Plan;
use super::templates;
use crate::exit::{Exit, Failure};

const FILE: &str = "samspill.local.yaml";

/// The folder that `up` is given.
#[derive(Debug)]
pub(super) struct Mesh {
    path: PathBuf,
    /// `samspill.local.yaml`, if there is one.
    text: Option<String>,
    /// Whose services are called without saying the namespace.
    namespace: String,
    edge_port: Option<u16>,
}

impl Mesh {
    /// # Errors
    /// The folder's files are wrong: they must be right before there is one more.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, text: None, namespace: "default".to_owned(), edge_port: None });
            }
            Err(error) => return Err(Failure::new(format!("cannot read `{}`: {error}", path.display()))),
        };
        let wrong = |mistakes: samspill_manifest::Mistakes| Failure { exit: Exit::Usage, text: mistakes.to_string() };
        let loaded = samspill_manifest::load(folder).map_err(wrong)?;
        let namespaces = loaded.namespaces();
        let namespace = if namespaces.len() == 1 { namespaces.first().copied() } else { None };
        let namespace = namespace.unwrap_or("default").to_owned();
        Ok(Self { path, text: Some(text), namespace, edge_port: loaded.edge_port })
    }

    pub(super) fn edge_port(&self) -> Option<u16> {
        self.edge_port
    }

    /// The namespace that a new service goes to, and its image.
    pub(super) fn names_for(&self, name: &Name) -> (String, String) {
        let image = match self.namespace.as_str() {
            "default" => name.dns().to_owned(),
            namespace => format!("{namespace}/{}", name.dns()),
        };
        (self.namespace.clone(), image)
    }

    /// Plans the image's lines; gives what must be done by hand if the file is not written in lines.
    pub(super) fn add_image(&self, name: &Name, plan: &mut Plan) -> Option<String> {
        let (_, image) = self.names_for(name);
        let Some(before) = &self.text else {
            plan.beside(FILE, templates::local(name, &image));
            return None;
        };
        match with_image(before, &image, name.dns()) {
            Some(after) => {
                plan.edit(self.path.clone(), before.clone(), after, format!("the program of {image}"));
                None
            }
            None => Some(format!(
                "`images` in {FILE} needs an entry\n  {image}: {{ build: {{ package: {} }} }}\n",
                name.dns()
            )),
        }
    }
}

/// The text with one more entry at the end of `images`; none if that is not a block of lines.
fn with_image(text: &str, image: &str, package: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let entry = |indent: &str| format!("{indent}{image}:\n{indent}{indent}build: {{ package: {package} }}\n");
    let Some(head) = lines.iter().position(|line| line.starts_with("images:")) else {
        let is_block = lines.iter().copied().find(is_content).is_none_or(|line| !line.starts_with(['{', '-']));
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return is_block.then(|| format!("{text}{newline}images:\n{}", entry("  ")));
    };
    let rest = lines[head].trim_start_matches("images:").trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    let is_inside = |line: &&str| !is_content(line) || line.starts_with(' ');
    let block: Vec<&str> = lines[head + 1..].iter().copied().take_while(is_inside).collect();
    let last = block.iter().rposition(is_content)?;
    let first = block.iter().find(|line| is_content(line))?;
    let indent = &first[..first.len() - first.trim_start().len()];
    let (above, below) = lines.split_at(head + 1 + last + 1);
    let newline = if above.last().is_some_and(|line| line.ends_with('\n')) { "" } else { "\n" };
    Some(format!("{}{newline}{}{}", above.concat(), entry(indent), below.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_added_at_the_end_of_its_block() {
        let new = "  new:\n    build: { package: new }\n";
        for (before, after) in [
            (String::new(), format!("images:\n{new}")),
            ("# c\nports: {}".to_owned(), format!("# c\nports: {{}}\nimages:\n{new}")),
            ("images:\n  a: {exec: a}\n".to_owned(), format!("images:\n  a: {{exec: a}}\n{new}")),
            ("images: # c\n  a: {exec: a}".to_owned(), format!("images: # c\n  a: {{exec: a}}\n{new}")),
            (
                "images:\n  # one\n  a:\n    exec: a\n\n# two\ntry: {}\n".to_owned(),
                format!("images:\n  # one\n  a:\n    exec: a\n{new}\n# two\ntry: {{}}\n"),
            ),
        ] {
            assert_eq!(with_image(&before, "new", "new").unwrap(), after);
        }
        let four = "images:\n    a:\n        exec: a\n";
        assert_eq!(
            with_image(four, "x/new", "new").unwrap(),
            format!("{four}    x/new:\n        build: {{ package: new }}\n")
        );
    }

    #[test]
    fn what_is_in_braces_is_left_alone() {
        for text in ["images: {a: {exec: a}}\n", "{images: {}}\n", "images:\ntry: {}\n"] {
            assert_eq!(with_image(text, "new", "new"), None, "{text}");
        }
    }
}
