//! `samspill api list`.

use serde_json::{Value, json};

use super::pairs::{Pair, Pairs};
use super::report::NO_DOCUMENTS;
use crate::args::{ApiTree, Output};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::table::table;

pub(super) fn list(args: &ApiTree) -> Result<Exit, Failure> {
    let pairs = Pairs::read(args)?.pairs;
    match args.output {
        Output::Json => {
            let items: Vec<Value> = pairs.iter().filter_map(item).collect();
            print(&serde_json::to_string_pretty(&items).map_err(Failure::new)?)?;
        }
        Output::Table if pairs.is_empty() => say(NO_DOCUMENTS),
        Output::Table => {
            let rows: Vec<Vec<String>> = pairs.iter().filter_map(row).collect();
            print(&table(&["CONTRACT", "KIND", "VERSION", "STATUS", "OPERATIONS", "FILE"], &rows))?;
        }
    }
    Ok(Exit::Success)
}

fn status(pair: &Pair) -> &'static str {
    match (&pair.blessed, &pair.here) {
        (None, _) => "new",
        (_, None) => "removed",
        _ if pair.changes.is_empty() => "blessed",
        _ if pair.refused().next().is_none() => "changed",
        _ => "refused",
    }
}

fn item(pair: &Pair) -> Option<Value> {
    let contract = pair.contract()?;
    let deprecated = contract.deprecated().map(|said| json!({"since": said.since, "sunset": said.sunset}));
    Some(json!({
        "contract": contract.name,
        "kind": contract.kind(),
        "version": contract.version,
        "status": status(pair),
        "deprecated": deprecated,
        "operations": contract.operations(),
        "file": contract.file,
    }))
}

fn row(pair: &Pair) -> Option<Vec<String>> {
    let contract = pair.contract()?;
    let mut status = status(pair).to_owned();
    if let Some(deprecated) = contract.deprecated() {
        status.push_str(&format!(", deprecated {}", deprecated.since));
        status.extend(deprecated.sunset.map(|sunset| format!(", sunset {sunset}")));
    }
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let (name, version) = (or_dash(&contract.name), or_dash(&contract.version));
    let operations = contract.operations().to_string();
    Some(vec![name, contract.kind().to_owned(), version, status, operations, contract.file.clone()])
}
