//! What `--help` and `--print-config` print.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::de::{self, Field, Source};
use super::definition::{CHECK_CONFIG, HELP, Kind, PRINT_CONFIG, SETTINGS, Setting};
use super::{SETTINGS_FILE, secret};

/// `--help`: one line for each setting.
pub(super) fn help<T: DeserializeOwned>(service: &str, settings: &[Setting]) -> String {
    let required = de::required::<T>(settings);
    let mut rows: Vec<[String; 4]> = Vec::new();
    for setting in settings {
        let mut note = match () {
            () if required.names.contains(&setting.name) => "required",
            () if setting.is_optional => "optional",
            () if required.is_complete => "has a default",
            () => "",
        }
        .to_owned();
        if setting.is_secret {
            note.push_str(if note.is_empty() { "secret" } else { ", secret" });
        }
        let name = setting.name.to_owned();
        rows.push(match setting.kind {
            Kind::Nested => ["(only in the file)".to_owned(), String::new(), name, note],
            kind => [with_value(&setting.flag(), kind), setting.variable(), name, note],
        });
    }
    let own = [
        (format!("{SETTINGS} FILE"), SETTINGS_FILE, "the YAML file with the keys above"),
        (CHECK_CONFIG.to_owned(), "", "say whether the settings are sound, and end"),
        (PRINT_CONFIG.to_owned(), "", "print the settings and where each comes from, and end"),
        (HELP.to_owned(), "", "print this, and end"),
    ];
    let own: Vec<[String; 4]> =
        own.into_iter().map(|(flag, name, note)| [flag, name.to_owned(), String::new(), note.to_owned()]).collect();

    let mut text = format!("Usage: {service} [FLAG]...\n");
    if !rows.is_empty() {
        rows.insert(0, ["flag", "variable", "key in the file", ""].map(str::to_owned));
        text.push_str("\nSettings. A flag beats the variable, which beats the file, which beats the default.\n\n");
        push_table(&mut text, &rows);
    }
    text.push_str("\nEvery service has\n\n");
    push_table(&mut text, &own);
    text.push_str("\nand obeys PORT, SAMSPILL_OUTBOUND, OTEL_EXPORTER_OTLP_ENDPOINT and RUST_LOG.\n");
    text
}

/// `--print-config`: one line for each setting, which is YAML, and where its value comes from.
pub(super) fn config<T: DeserializeOwned>(settings: &[Setting], fields: &[Field<'_>]) -> String {
    let mut text = String::new();
    for setting in settings {
        let name = setting.name;
        let line = match fields.iter().find(|field| field.name == name) {
            Some(field) => format!("{name}: {} # {}", effective::<T>(*field, setting.kind), origin(field)),
            None => format!("# {name}: # default: not given"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn with_value(flag: &str, kind: Kind) -> String {
    match kind {
        Kind::Switch => flag.to_owned(),
        Kind::Integer | Kind::Float => format!("{flag} NUMBER"),
        Kind::Choice(variants) => format!("{flag} {}", variants.join("|")),
        Kind::Text | Kind::Nested => format!("{flag} VALUE"),
    }
}

/// Columns that begin below each other, with two spaces between them; empty ones take no place.
fn push_table(text: &mut String, rows: &[[String; 4]]) {
    let widths = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    for [flag, variable, key, note] in rows {
        let mut line = String::new();
        for (cell, width) in [flag, variable, key].into_iter().zip(widths).filter(|(_, width)| *width > 0) {
            // Writing into a String cannot fail.
            let _never_fails = write!(line, "  {cell:width$}");
        }
        let _never_fails = write!(line, "  {note}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// The value as the file would have it, without its secrets. JSON is YAML, and one line.
fn effective<T: DeserializeOwned>(field: Field<'_>, kind: Kind) -> Value {
    let mut value = match field.source {
        Source::Flag(text) | Source::Variable(text) => typed(text, kind),
        Source::File(_, value) => value.clone(),
        Source::Sample(_) | Source::Question(_) => Value::Null,
    };
    let mut problem = None;
    let secrets = secret::read_during(|| problem = de::read_alone::<T>(field));
    if secrets.is_empty() {
        return value;
    }
    // Where it could not be read to its end, nobody knows what else is secret.
    if problem.is_some() {
        return secret::HIDDEN.into();
    }
    secret::hide(&mut value, &secrets);
    value
}

/// The text of a variable or flag as the file has it: the number 1, not the text "1".
fn typed(text: &str, kind: Kind) -> Value {
    let trimmed = text.trim();
    let number = || {
        let whole = trimmed.parse::<u64>().map(Value::from).or_else(|_error| trimmed.parse::<i64>().map(Value::from));
        whole.ok()
    };
    let typed = match kind {
        Kind::Switch => trimmed.parse().map(Value::Bool).ok(),
        Kind::Integer => number(),
        Kind::Float => number().or_else(|| Some(serde_json::Number::from_f64(trimmed.parse().ok()?)?.into())),
        Kind::Text | Kind::Choice(_) | Kind::Nested => None,
    };
    typed.unwrap_or_else(|| text.into())
}

/// Where a value comes from, in words of one line.
fn origin(field: &Field<'_>) -> String {
    match field.source {
        Source::File(path, _) => path.escape_debug().to_string(),
        Source::Flag(_) | Source::Variable(_) | Source::Sample(_) | Source::Question(_) => field.place(),
    }
}
