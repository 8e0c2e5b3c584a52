//! Each version of the working tree with its blessed self.

use std::path::Path;

use samspill_compat::{Change, Deprecated, Effect, OpenApi, Proto, Rule};

use super::contract::{Contract, Document, find, is_document};
use super::git::{Base, Repository};
use crate::args::ApiTree;
use crate::exit::Failure;
use crate::output::say;

/// All versions that there are, or were.
pub(super) struct Pairs {
    pub(super) base: Base,
    pub(super) pairs: Vec<Pair>,
}

/// One version, blessed or here or both.
pub(super) struct Pair {
    pub(super) blessed: Option<Contract>,
    pub(super) here: Option<Contract>,
    /// From what is blessed to what is here.
    pub(super) changes: Vec<Change>,
    /// The version that is free to change.
    pub(super) next: String,
}

impl Pair {
    /// As it is here, or as it was.
    pub(super) fn contract(&self) -> Option<&Contract> {
        self.here.as_ref().or(self.blessed.as_ref())
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.is_allowed())
    }
}

impl Pairs {
    /// Reads both trees. Every file that cannot be read is told at once.
    pub(super) fn read(args: &ApiTree) -> Result<Self, Failure> {
        let folder = args.folder.as_deref().unwrap_or(Path::new("."));
        let repository = Repository::around(folder)?;
        let scope = match &args.folder {
            Some(folder) => scope(&repository, folder)?,
            None => String::new(),
        };
        let base = repository.base(args.base.as_deref())?;
        let documents = |mut files: Vec<String>| {
            files.retain(|file| is_document(file));
            files
        };
        let here = find(&documents(repository.files()?), &scope, |file| {
            std::fs::read_to_string(repository.root.join(file))
                .map_err(|error| Failure::usage(format!("{file}: {error}")))
        })?;
        if !here.mistakes.is_empty() {
            return Err(Failure::usage(here.mistakes.join("\nerror: ")));
        }
        let blessed = find(&documents(repository.files_at(&base.commit)?), &scope, |file| {
            repository.read_at(&base.commit, file)
        })?;
        // Nobody can mend what is committed already, and nobody can have been built from it.
        for mistake in &blessed.mistakes {
            say(&format!("warning: as it is on {}, it is not blessed: {mistake}", base.describe()));
        }
        let pairs = pair(blessed.contracts, here.contracts, &today());
        Ok(Self { base, pairs })
    }
}

/// The folder as a path from the root; empty for the root itself.
fn scope(repository: &Repository, folder: &Path) -> Result<String, Failure> {
    let wrong = |error| Failure::usage(format!("`{}`: {error}", folder.display()));
    let (root, folder) = (repository.root.canonicalize().map_err(wrong)?, folder.canonicalize().map_err(wrong)?);
    Ok(folder.strip_prefix(&root).map(|rest| rest.to_string_lossy().into_owned()).unwrap_or_default())
}

/// `2026-11-27`, in UTC.
fn today() -> String {
    time::OffsetDateTime::from(samspill_net::clock::now()).date().to_string()
}

fn pair(blessed: Vec<Contract>, mut here: Vec<Contract>, today: &str) -> Vec<Pair> {
    let mut matched = Vec::new();
    let mut gone = Vec::new();
    for blessed in blessed {
        match here.iter().position(|contract| contract.key == blessed.key) {
            Some(index) => matched.push((Some(blessed), Some(here.remove(index)))),
            None => gone.push(blessed),
        }
    }
    // A crate may move to another folder. Of two that could be meant, neither is.
    for blessed in gone {
        let same = |contract: &Contract| {
            (contract.kind(), &contract.name, &contract.version) == (blessed.kind(), &blessed.name, &blessed.version)
        };
        let mut candidates = here.iter().enumerate().filter(|(_, contract)| same(contract)).map(|(index, _)| index);
        match (candidates.next(), candidates.next()) {
            (Some(index), None) => matched.push((Some(blessed), Some(here.remove(index)))),
            _ => matched.push((Some(blessed), None)),
        }
    }
    matched.extend(here.into_iter().map(|contract| (None, Some(contract))));
    let nexts: Vec<String> = matched.iter().map(|(blessed, here)| next(blessed, here, &matched)).collect();
    let mut pairs: Vec<Pair> = matched
        .into_iter()
        .zip(nexts)
        .map(|((blessed, here), next)| Pair {
            changes: changes(blessed.as_ref(), here.as_ref(), today),
            blessed,
            here,
            next,
        })
        .collect();
    pairs.sort_by_cached_key(|pair| {
        pair.contract()
            .map(|contract| (contract.name.clone(), contract.kind(), contract.number(), contract.file.clone()))
    });
    pairs
}

/// The newest version that is not blessed, else the one after the newest.
fn next(blessed: &Option<Contract>, here: &Option<Contract>, all: &[(Option<Contract>, Option<Contract>)]) -> String {
    let Some(contract) = here.as_ref().or(blessed.as_ref()) else { return String::new() };
    if contract.version.is_empty() {
        return format!("a package of its own, such as {}.v2", contract.name);
    }
    let of_it = |other: &&Contract| (other.kind(), &other.name) == (contract.kind(), &contract.name);
    let newest = all
        .iter()
        .filter_map(|(old, new)| new.as_ref().or(old.as_ref()))
        .filter(of_it)
        .max_by_key(|other| other.number());
    let is_free = |other: &&Contract| {
        all.iter().any(|(old, new)| old.is_none() && new.as_ref().is_some_and(|new| new.key == other.key))
    };
    let number = match newest {
        Some(newest) if is_free(&newest) => newest.number(),
        Some(newest) => newest.number().saturating_add(1),
        None => 1,
    };
    format!("v{number}")
}

fn changes(blessed: Option<&Contract>, here: Option<&Contract>, today: &str) -> Vec<Change> {
    match (blessed, here) {
        (Some(blessed), Some(here)) => match (&blessed.document, &here.document) {
            (Document::OpenApi(old), Document::OpenApi(new)) => OpenApi::compare(old, new),
            (Document::Proto(old), Document::Proto(new)) => Proto::compare(old, new),
            _ => Vec::new(),
        },
        (Some(blessed), None) if !has_ended(blessed.deprecated(), today) => vec![gone(blessed)],
        _ => Vec::new(),
    }
}

/// Days are compared as text: RFC 3339 is made for it.
fn has_ended(deprecated: Option<Deprecated>, today: &str) -> bool {
    let sunset = deprecated.and_then(|deprecated| deprecated.sunset);
    sunset.is_some_and(|sunset| {
        sunset.as_bytes().first().is_some_and(u8::is_ascii_digit) && sunset.get(..10).is_some_and(|day| day < today)
    })
}

fn gone(blessed: &Contract) -> Change {
    let (rule, pointer) = match blessed.document {
        Document::OpenApi(_) => (Rule::DocumentRemoved, "#".to_owned()),
        Document::Proto(_) => {
            (Rule::PackageRemoved, [blessed.name.as_str(), &blessed.version].join(".").trim_end_matches('.').to_owned())
        }
    };
    let steps = vec!["the whole document".to_owned()];
    let was = Some(match blessed.operations() {
        1 => "1 operation".to_owned(),
        count => format!("{count} operations"),
    });
    Change { rule, effect: Effect::CompatibleForService, pointer, steps, was, is: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(file: &str, text: &str) -> Contract {
        let found = find(&[file.to_owned()], "", |_| Ok(text.to_owned())).unwrap();
        assert_eq!(found.mistakes, Vec::<String>::new());
        found.contracts.into_iter().next().unwrap()
    }

    fn document(extra: &str) -> String {
        format!(r#"{{"openapi": "3.0.3", "info": {{"title": "quotes"}}, {extra} "paths": {{"/q": {{"get": {{}}}}}}}}"#)
    }

    fn rules(blessed: &[(&str, String)], here: &[(&str, String)]) -> Vec<(String, Vec<Rule>)> {
        let contracts = |list: &[(&str, String)]| list.iter().map(|(file, text)| contract(file, text)).collect();
        let pairs = pair(contracts(blessed), contracts(here), "2026-11-27");
        let rules = |pair: &Pair| pair.changes.iter().map(|change| change.rule).collect();
        pairs.iter().map(|pair| (pair.contract().unwrap().file.clone(), rules(pair))).collect()
    }

    #[test]
    fn a_version_goes_after_its_sunset_only() {
        let file = "a/openapi/v1.json";
        let rules = |extra: &str| rules(&[(file, document(extra))], &[]).remove(0).1;
        assert_eq!(rules(""), [Rule::DocumentRemoved]);
        for (sunset, expected) in [
            ("2026-11-26", &[][..]),
            ("2026-11-26T12:00:00Z", &[]),
            ("2026-11-27", &[Rule::DocumentRemoved]),
            ("2027-05-01", &[Rule::DocumentRemoved]),
            ("soon", &[Rule::DocumentRemoved]),
            ("", &[Rule::DocumentRemoved]),
        ] {
            let extra = format!(r#""x-samspill-deprecated": {{"since": "2026-01-01", "sunset": "{sunset}"}},"#);
            assert_eq!(rules(&extra), expected, "{sunset}");
        }
    }

    #[test]
    fn a_document_may_move() {
        let moved =
            rules(&[("old/quotes/openapi/v1.json", document(""))], &[("new/openapi/quotes/v1.json", document(""))]);
        assert_eq!(moved, [("new/openapi/quotes/v1.json".to_owned(), vec![])]);
        let here = [("a/quotes/openapi/v1.json", document("")), ("b/quotes/openapi/v1.json", document(""))];
        let unclear = rules(&[("old/quotes/openapi/v1.json", document(""))], &here);
        assert_eq!(unclear.len(), 3, "{unclear:?}");
        assert_eq!(unclear[2], ("old/quotes/openapi/v1.json".to_owned(), vec![Rule::DocumentRemoved]));
    }

    #[test]
    fn the_next_version_is_the_new_one_if_there_is_one() {
        let v = |number: u32| (format!("a/openapi/v{number}.json"), document(""));
        let contracts = |numbers: &[u32]| {
            numbers.iter().map(|number| v(*number)).map(|(file, text)| contract(&file, &text)).collect()
        };
        let next =
            |blessed: &[u32], here: &[u32]| pair(contracts(blessed), contracts(here), "2026-11-27").remove(0).next;
        assert_eq!(next(&[1, 2], &[1, 2]), "v3");
        assert_eq!(next(&[1, 9], &[1, 9, 10]), "v10");
    }
}
