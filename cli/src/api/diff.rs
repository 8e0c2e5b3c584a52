//! `samspill api diff`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use samspill_compat::{Change, Effect, OpenApi, Proto};
use samspill_observability::chain;

use super::contract::Document;
use super::git::Repository;
use super::report::{count, fields, lines};
use crate::args::{ApiDiff, Output};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};

pub(super) fn diff(args: &ApiDiff) -> Result<Exit, Failure> {
    let changes = match (read(&args.old)?, read(&args.new)?) {
        (Document::OpenApi(old), Document::OpenApi(new)) => OpenApi::compare_versions(&old, &new),
        (Document::Proto(old), Document::Proto(new)) => Proto::compare(&old, &new),
        _ => {
            return Err(Failure::usage(
                "one is an OpenAPI document and the other a protobuf file: they cannot be compared",
            ));
        }
    };
    match args.output {
        Output::Json => {
            let list: Vec<_> = changes.iter().map(fields).collect();
            print(&serde_json::to_string_pretty(&list).map_err(Failure::new)?)?;
        }
        Output::Table if changes.is_empty() => say("no differences"),
        Output::Table => print(&text(&changes))?,
    }
    // As `diff` does it.
    Ok(if changes.is_empty() { Exit::Success } else { Exit::Failed })
}

/// The worst first.
fn text(changes: &[Change]) -> String {
    let group = |effect: &Effect| {
        let of_it: Vec<&Change> = changes.iter().filter(|change| change.effect == *effect).collect();
        let lines: String = of_it.iter().map(|change| lines(change, None)).collect();
        (!of_it.is_empty()).then(|| format!("{} ({}):\n{lines}", title(*effect), count(of_it.len(), "change")))
    };
    Effect::ALL.iter().filter_map(group).collect::<Vec<_>>().join("\n")
}

fn title(effect: Effect) -> &'static str {
    match effect {
        Effect::Breaking => {
            "breaking: old callers and new services fail each other, and so do new callers and old services"
        }
        Effect::CompatibleForService => {
            "compatible for the service: an old one satisfies new callers; old callers break"
        }
        Effect::CompatibleForCallers => "compatible for callers: old ones go on; new callers need the new service",
        Effect::Documentation => "documentation: nothing on the wire",
    }
}

/// A file, or `REF:PATH`.
fn read(spec: &str) -> Result<Document, Failure> {
    let path = Path::new(spec);
    if path.is_file() {
        let text = |path: &Path| {
            fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
        };
        if !is_proto(spec) {
            return openapi(spec, &text(path)?);
        }
        let (folder, name) = split(spec);
        let mut files = BTreeMap::new();
        for file in proto_files(Path::new(folder)) {
            let text = text(&Path::new(folder).join(&file))?;
            files.insert(file, text);
        }
        return proto(spec, name, &files);
    }
    let Some((name, file)) = spec.split_once(':').filter(|(name, file)| !name.is_empty() && !file.is_empty()) else {
        let what = if path.is_dir() { "is a folder: name one document" } else { "does not exist" };
        return Err(Failure::usage(format!("`{spec}` {what}"))
            .hint("a document that git has is written REF:PATH, such as main:openapi/v1.json"));
    };
    let repository = Repository::around(Path::new("."))?;
    let Some(commit) = repository.commit(name)? else {
        return Err(Failure::usage(format!("`{spec}`: git knows no branch or commit `{name}`")));
    };
    let file = repository.path_from_root(file);
    let all = repository.files_at(&commit)?;
    if !all.contains(&file) {
        let failure = Failure::usage(format!("`{spec}`: there is no file `{file}` in {name}"));
        return Err(failure.hint("a path begins at the repository's root; ./ makes it begin in this folder"));
    }
    if !is_proto(&file) {
        return openapi(spec, &repository.read_at(&commit, &file)?);
    }
    let (folder, name) = split(&file);
    let mut files = BTreeMap::new();
    for other in all.iter().filter(|other| is_proto(other)) {
        let below = if folder == "." {
            Some(other.as_str())
        } else {
            other.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
        };
        if let Some(below) = below {
            files.insert(below.to_owned(), repository.read_at(&commit, other)?);
        }
    }
    proto(spec, name, &files)
}

fn openapi(spec: &str, text: &str) -> Result<Document, Failure> {
    OpenApi::parse(text).map(Document::OpenApi).map_err(|error| Failure::usage(format!("{spec}: {}", chain(&error))))
}

/// Only the named file counts; the others of its folder may be imported.
fn proto(spec: &str, name: &str, files: &BTreeMap<String, String>) -> Result<Document, Failure> {
    let own: BTreeMap<String, String> =
        files.get_key_value(name).map(|(name, text)| (name.clone(), text.clone())).into_iter().collect();
    let mut packages = Proto::compile(&own, &[files]).map_err(|error| Failure::usage(format!("{spec}: {error}")))?;
    let package = packages.pop_first().map(|(_, package)| Document::Proto(package));
    package.ok_or_else(|| Failure::usage(format!("`{spec}` cannot be read")))
}

fn is_proto(file: &str) -> bool {
    file.ends_with(".proto")
}

/// The folder that imports begin in, and the file's name from there: below the uppermost `proto`, else beside the file.
fn split(file: &str) -> (&str, &str) {
    let above = if file.starts_with("proto/") {
        Some("proto".len())
    } else {
        file.find("/proto/").map(|at| at + "/proto".len())
    };
    match above.or_else(|| file.rfind('/')) {
        Some(0) => ("/", &file[1..]),
        Some(end) => (&file[..end], &file[end + 1..]),
        None => (".", file),
    }
}

/// All `.proto` files below a folder, as they are imported. A folder that cannot be read has none.
fn proto_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        for entry in fs::read_dir(folder.join(&below)).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            match entry.file_type() {
                // What was built, and git's own folder, import nothing.
                Ok(kind) if kind.is_dir() && !name.ends_with("target") && !name.contains(".git") => pending.push(name),
                Ok(_) if is_proto(&name) => files.push(name),
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_begin_below_proto() {
        assert_eq!(split("a/proto/shop/v1.proto"), ("a/proto", "shop/v1.proto"));
        assert_eq!(split("proto/shop/v1.proto"), ("proto", "shop/v1.proto"));
        assert_eq!(split("a/v1.proto"), ("a", "v1.proto"));
        assert_eq!(split("v1.proto"), (".", "v1.proto"));
        assert_eq!(split("/v1.proto"), ("/", "v1.proto"));
    }
}
