//! What every file must have, and what no file may have.

use anyhow::Result;

use crate::command::{command, output, root};

/// Attributes and calls that hide a mistake, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("#[ignore", "assert what is true today, with a word on what should be"),
    ("#[should_panic", "match on the error, or catch the panic and look at it"),
    ("#[allow(", "use #[expect(.., reason = ..)]: it complains when it is no longer needed"),
    ("thread::sleep", "wait for the state itself"),
];

/// Calls that no test may make, unless its clock is paused.
const FORBIDDEN_IN_TESTS: &[(&str, &str)] =
    &[("time::sleep(", "wait for the state itself, with wait_until if need be")];

pub(super) fn check() -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    let listed = output(&mut command("git", &["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    for file in listed.lines().filter(|file| file.ends_with(".rs") && !file.starts_with("xtask/")) {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        if !text.starts_with("//!") {
            mistakes.push(format!("{file}: begin with `//!`: why this exists, and what it is not"));
        }
        let is_test = file.starts_with("tests/") || file.contains("/tests");
        let sleeps = is_test && !text.contains("start_paused = true");
        for (number, line) in text.lines().enumerate() {
            let forbidden = FORBIDDEN.iter().chain(if sleeps { FORBIDDEN_IN_TESTS } else { &[] });
            for (pattern, instead) in forbidden {
                if line.contains(pattern) && !line.trim_start().starts_with("//") {
                    mistakes.push(format!("{file}:{}: `{pattern}`: {instead}", number + 1));
                }
            }
        }
    }
    for file in listed.lines().filter(|file| file.ends_with(".md")) {
        mistakes.extend(links(file)?);
    }
    mistakes.extend(architecture()?);
    Ok(mistakes)
}

/// Every relative link of a page leads somewhere.
fn links(page: &str) -> Result<Vec<String>> {
    let Ok(text) = std::fs::read_to_string(root().join(page)) else { return Ok(Vec::new()) };
    let folder = root().join(page).parent().map(ToOwned::to_owned).unwrap_or_default();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let is_relative = |target: &&str| !target.is_empty() && !target.contains("://");
    let broken = targets.filter(is_relative).filter(|target| !folder.join(target).exists());
    Ok(broken.map(|target| format!("{page}: the link to `{target}` leads nowhere")).collect())
}

/// Every path that ARCHITECTURE.md names in backticks exists.
fn architecture() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        word.contains('/')
            && !word.contains([' ', ':', '<', '*', '$'])
            && !word.starts_with('/')
            && std::path::Path::new(word.split('/').next().unwrap_or_default()).file_name().is_some()
    };
    let missing = quoted.filter(is_path).filter(|path| {
        // A path of a repository begins with one of its folders; anything else is prose.
        let first = path.split('/').next().unwrap_or_default();
        root().join(first).exists() && !root().join(path).exists()
    });
    Ok(missing.map(|path| format!("ARCHITECTURE.md names `{path}`, which does not exist")).collect())
}
