//! `samspill api check`.

use serde_json::Value;

use super::pairs::{Pair, Pairs};
use super::report::{NO_DOCUMENTS, count, fields, lines};
use crate::args::{ApiTree, Output};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};

pub(super) fn check(args: &ApiTree) -> Result<Exit, Failure> {
    let Pairs { base, pairs } = Pairs::read(args)?;
    let refused: Vec<&Pair> = pairs.iter().filter(|pair| pair.refused().next().is_some()).collect();
    match args.output {
        Output::Json => {
            let findings: Vec<Value> = refused.iter().flat_map(|pair| findings(pair)).collect();
            print(&serde_json::to_string_pretty(&findings).map_err(Failure::new)?)?;
        }
        Output::Table if refused.is_empty() => {}
        Output::Table => print(&refused.iter().map(|pair| text(pair)).collect::<Vec<_>>().join("\n"))?,
    }
    let base = base.describe();
    say(&match refused.iter().map(|pair| pair.refused().count()).sum() {
        0 if pairs.is_empty() => NO_DOCUMENTS.to_owned(),
        0 => format!("{} compatible with {base}: {}", all(&pairs), states(&pairs)),
        changes => {
            let number = if changes == 1 { "1 change is".to_owned() } else { format!("{changes} changes are") };
            format!(
                "\n{number} refused: on {base} it was otherwise, and others may be built from that\n\nhint: make the change in the \
                 next version, which is free until it is on the main branch; docs/reference/contract-rules.md has the rules"
            )
        }
    });
    Ok(if refused.is_empty() { Exit::Success } else { Exit::Failed })
}

fn all(pairs: &[Pair]) -> String {
    match pairs.len() {
        1 => "the one document is".to_owned(),
        number => format!("all {number} documents are"),
    }
}

/// `3 as blessed, 1 changed within the rules, 1 new`.
fn states(pairs: &[Pair]) -> String {
    let number = |is: &dyn Fn(&Pair) -> bool| pairs.iter().filter(|pair| is(pair)).count();
    let blessed = |pair: &Pair| pair.blessed.is_some() && pair.here.is_some();
    let parts = [
        (number(&|pair| blessed(pair) && pair.changes.is_empty()), "as blessed"),
        (number(&|pair| blessed(pair) && !pair.changes.is_empty()), "changed within the rules"),
        (number(&|pair| pair.blessed.is_none()), "new"),
        (number(&|pair| pair.here.is_none()), "gone after its sunset"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn text(pair: &Pair) -> String {
    let Some(contract) = pair.contract() else { return String::new() };
    let number = pair.refused().count();
    let mut text = format!("{}: {} refused\n", contract.file, count(number, "change"));
    for change in pair.refused() {
        text.push('\n');
        text.push_str(&lines(change, Some(&change.rule.instead(this(pair), &pair.next))));
    }
    text
}

fn findings(pair: &Pair) -> Vec<Value> {
    let Some(contract) = pair.contract() else { return Vec::new() };
    let finding = |change| {
        let mut finding = fields(change);
        let also = [
            ("file", contract.file.as_str()),
            ("kind", contract.kind()),
            ("contract", &contract.name),
            ("version", &contract.version),
            ("instead", &change.rule.instead(this(pair), &pair.next)),
        ];
        for (key, value) in also {
            finding[key] = value.into();
        }
        finding
    };
    pair.refused().map(finding).collect()
}

fn this(pair: &Pair) -> &str {
    pair.contract()
        .map(|contract| contract.version.as_str())
        .filter(|version| !version.is_empty())
        .unwrap_or("this package")
}
