//! Reading a tree field by field: what is asked for is known, what nobody asked for is a mistake.
//!
//! Reading never stops. A wrong value is reported and read as if it were absent, so that one run tells everything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use samspill_model::name::is_dns_label;

use crate::mistake::{Mistake, Place, Source, Warning, closest, listed, quoted};
use crate::yaml::{At, Node, Value};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: Place,
}

/// A field that only a cluster has a use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOnly {
    /// Kind and field, such as `Deployment imagePullSecrets`.
    pub field: String,
    /// The first place that has it.
    pub place: Place,
}

/// What reading has found besides the values.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) mistakes: RefCell<Vec<Mistake>>,
    pub(crate) warnings: RefCell<Vec<Warning>>,
    pub(crate) cluster_only: RefCell<Vec<ClusterOnly>>,
}

impl Findings {
    pub(crate) fn mistake(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    pub(crate) fn mistake_of(&self, mistake: Option<Mistake>) {
        self.mistakes.borrow_mut().extend(mistake);
    }

    pub(crate) fn warn(&self, mistake: Mistake) {
        self.warnings.borrow_mut().push(Warning(mistake));
    }

    pub(crate) fn cluster_only(&self, field: String, place: Place) {
        let mut known = self.cluster_only.borrow_mut();
        if !known.iter().any(|other| other.field == field) {
            known.push(ClusterOnly { field, place });
        }
    }
}

/// The document that is being read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) source: Arc<Source>,
    /// `Deployment`, or the file's name for the local file.
    pub(crate) kind: String,
    /// Whether its values are never shown.
    pub(crate) secret: bool,
    pub(crate) findings: &'a Findings,
}

impl Document<'_> {
    /// The same document for a part whose values are never shown.
    pub(crate) fn hiding(&self) -> Self {
        Self { source: Arc::clone(&self.source), kind: self.kind.clone(), secret: true, findings: self.findings }
    }
}

/// A node of a document and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Item<'a> {
    node: &'a Node,
    path: String,
    document: &'a Document<'a>,
}

impl<'a> Item<'a> {
    pub(crate) fn root(node: &'a Node, document: &'a Document<'a>) -> Self {
        Self { node, path: String::new(), document }
    }

    /// The same item, its values hidden.
    pub(crate) fn hidden_by<'b>(&self, hidden: &'b Document<'b>) -> Item<'b>
    where
        'a: 'b,
    {
        Item { node: self.node, path: self.path.clone(), document: hidden }
    }

    pub(crate) fn place(&self) -> Place {
        self.place_of(self.node.at, self.path.clone())
    }

    fn place_of(&self, at: At, path: String) -> Place {
        Place {
            source: Arc::clone(&self.document.source),
            line: at.line,
            column: at.column,
            width: at.width,
            path,
            secret: self.document.secret,
        }
    }

    pub(crate) fn document(&self) -> &'a Document<'a> {
        self.document
    }

    pub(crate) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::at(message, &self.place())
    }

    pub(crate) fn report(&self, mistake: Mistake) {
        self.document.findings.mistake(mistake);
    }

    fn refuse(&self, expected: &str) -> Mistake {
        let found = match &self.node.value {
            Value::Scalar { .. } if self.document.secret => "another value".to_owned(),
            Value::Scalar { plain: true, .. } if self.node.is_null() => "nothing".to_owned(),
            Value::Scalar { text, plain: true } => match looks_like(text) {
                Some(kind) => format!("the {kind} {}", quoted(text)),
                None => quoted(text),
            },
            Value::Scalar { text, plain: false } => format!("the string {}", quoted(text)),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a map".to_owned(),
            Value::Refused => String::new(),
        };
        self.mistake(format!("expected {expected}, found {found}"))
    }

    fn report_unless_refused(&self, mistake: Mistake) {
        if !matches!(self.node.value, Value::Refused) {
            self.report(mistake);
        }
    }

    /// A map's fields.
    pub(crate) fn fields(&self) -> Fields<'a> {
        let entries = match &self.node.value {
            Value::Mapping(entries) => Some(entries.as_slice()),
            _ => {
                self.report_unless_refused(self.refuse("a map"));
                None
            }
        };
        Fields { item: self.clone(), entries, known: Vec::new(), cluster_only: Vec::new(), refused: Vec::new() }
    }

    /// A list's items.
    pub(crate) fn items(&self) -> Vec<Item<'a>> {
        let Value::Sequence(items) = &self.node.value else {
            self.report_unless_refused(self.refuse("a list"));
            return Vec::new();
        };
        let item = |(index, node)| Item { node, path: format!("{}[{index}]", self.path), document: self.document };
        items.iter().enumerate().map(item).collect()
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    pub(crate) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// A string: quoted, or plain and not something that YAML readers take for another type.
    pub(crate) fn string(&self) -> Option<Located<String>> {
        match &self.node.value {
            Value::Scalar { text, plain } if !plain || (looks_like(text).is_none() && !self.node.is_null()) => {
                if text.contains('\0') {
                    self.report(self.mistake("a NUL character cannot be in a string here"));
                    return None;
                }
                Some(Located { value: text.clone(), at: self.place() })
            }
            Value::Scalar { text, .. } if !self.node.is_null() => {
                let hint = match self.document.secret {
                    true => "put it in quotes".to_owned(),
                    false => format!("put it in quotes: \"{text}\""),
                };
                self.report(self.refuse("a string").hint(hint));
                None
            }
            _ => {
                self.report_unless_refused(self.refuse("a string"));
                None
            }
        }
    }

    /// A string that is a DNS label.
    pub(crate) fn label(&self) -> Option<Located<String>> {
        let label = self.string()?;
        if is_dns_label(&label.value) {
            return Some(label);
        }
        let expected = "a-z, 0-9 and inner hyphens, 1 to 63 characters";
        self.report(self.mistake(format!("{} is no name", quoted(&label.value))).expected(expected));
        None
    }

    /// The text as it is written, whatever it is, which has been reported.
    pub(crate) fn unchecked(&self) -> Option<Located<String>> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(Located { value: text.clone(), at: self.place() }),
            _ => None,
        }
    }

    /// A string of DNS labels with dots between them: the name of an object that is no host.
    pub(crate) fn dotted_name(&self) -> Option<Located<String>> {
        let name = self.string()?;
        if name.value.len() <= 253 && name.value.split('.').all(is_dns_label) {
            return Some(name);
        }
        let expected = "a-z, 0-9, inner hyphens and dots, 1 to 253 characters";
        self.report(self.mistake(format!("{} is no name", quoted(&name.value))).expected(expected));
        None
    }

    pub(crate) fn integer(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match &self.node.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let expected = match (range.start(), range.end()) {
                (start, end) if start == end => format!("{start}"),
                (start, end) => format!("a whole number from {start} to {end}"),
            };
            self.report_unless_refused(self.refuse(&expected));
        }
        number
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.integer(1..=65535).and_then(|number| u16::try_from(number).ok())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.report_unless_refused(self.refuse("`true` or `false`"));
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn one_of(&self, words: &[&str]) -> Option<String> {
        let found = self.string()?;
        if words.contains(&found.value.as_str()) {
            return Some(found.value);
        }
        let hint = closest(&found.value, words.iter().copied());
        let message = format!("{} is not supported here", quoted(&found.value));
        self.report(self.mistake(message).expected(listed(words.iter().copied())).did_you_mean(hint));
        None
    }

    /// A number, or the name of a port.
    pub(crate) fn port_or_name(&self) -> Option<PortRef> {
        let at = self.place();
        match &self.node.value {
            Value::Scalar { text, plain: true } if text.bytes().all(|c| c.is_ascii_digit()) && !text.is_empty() => {
                self.port().map(|port| PortRef::Number(Located { value: port, at }))
            }
            _ => self.string().map(PortRef::Name),
        }
    }

    /// A map from any key to strings.
    pub(crate) fn string_map(&self) -> BTreeMap<String, Located<String>> {
        let mut map = BTreeMap::new();
        for (key, item) in self.entries() {
            if let Some(value) = item.string() {
                map.insert(key.value, value);
            }
        }
        map
    }

    /// A map of labels.
    pub(crate) fn labels(&self) -> BTreeMap<String, Located<String>> {
        let labels = self.string_map();
        let byte = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        for label in labels.values() {
            let value = label.value.as_str();
            let ends = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if value.len() > 63 || !value.bytes().all(byte) || ends != value {
                let expected = "letters, digits and inner `-`, `_`, `.`; 63 at most";
                let mistake = Mistake::at(format!("{} is no value of a label", quoted(value)), &label.at);
                self.report(mistake.expected(expected));
            }
        }
        labels
    }

    /// A map's entries, whatever their keys.
    pub(crate) fn entries(&self) -> Vec<(Located<String>, Item<'a>)> {
        let Value::Mapping(entries) = &self.node.value else {
            self.report_unless_refused(self.refuse("a map"));
            return Vec::new();
        };
        let entry = |(key, node): &'a (crate::yaml::Key, Node)| {
            let path = join(&self.path, &key.text);
            let located = Located { value: key.text.clone(), at: self.place_of(key.at, path.clone()) };
            (located, Item { node, path, document: self.document })
        };
        entries.iter().map(entry).collect()
    }
}

/// A port as a probe or a Service names it.
#[derive(Clone, Debug)]
pub(crate) enum PortRef {
    Number(Located<u16>),
    Name(Located<String>),
}

/// A map of which each field is asked for by name, until [`Fields::finish`].
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    item: Item<'a>,
    /// `None` when it is no map, which has been reported.
    entries: Option<&'a [(crate::yaml::Key, Node)]>,
    known: Vec<&'static str>,
    cluster_only: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// A field that may be left out; `null` is the same.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        let (_, node) = self.entries?.iter().find(|(key, _)| key.text == name)?;
        let item = Item { node, path: join(&self.item.path, name), document: self.item.document };
        (!node.is_null()).then_some(item)
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Option<Item<'a>> {
        let found = self.optional(name);
        if found.is_none() && self.entries.is_some() {
            self.item.report(self.item.mistake(format!("the field `{name}` is missing")));
        }
        found
    }

    /// Fields that are accepted and mean nothing here.
    pub(crate) fn cluster_only(&mut self, names: &[&'static str]) {
        self.cluster_only.extend(names);
    }

    /// A field that Kubernetes knows and this does not: an error that says so.
    pub(crate) fn unsupported(&mut self, name: &'static str, hint: &str) {
        let Some((key, _)) = self.entries.and_then(|entries| entries.iter().find(|(key, _)| key.text == name)) else {
            return;
        };
        let place = self.item.place_of(key.at, join(&self.item.path, name));
        self.item.report(Mistake::at(format!("`{name}` is not supported here"), &place).hint(hint));
        self.refused.push(name);
    }

    /// Whether the field is written at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.is_some_and(|entries| entries.iter().any(|(key, _)| key.text == name))
    }

    /// The map itself.
    pub(crate) fn item(&self) -> &Item<'a> {
        &self.item
    }

    /// Reports every field that nobody asked for.
    pub(crate) fn finish(self) {
        let document = self.item.document;
        for (key, _) in self.entries.unwrap_or_default() {
            let name = key.text.as_str();
            let path = join(&self.item.path, name);
            let place = self.item.place_of(key.at, path.clone());
            if self.known.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            if self.cluster_only.contains(&name) {
                document.findings.cluster_only(format!("{} {}", document.kind, without_indexes(&path)), place);
                continue;
            }
            let candidates = self.known.iter().chain(&self.cluster_only).copied();
            let mut expected: Vec<&str> = self.known.clone();
            expected.sort_unstable();
            expected.dedup();
            document.findings.mistake(
                Mistake::at(format!("unknown field {}", quoted(name)), &place)
                    .did_you_mean(closest(name, candidates))
                    .expected(listed(expected)),
            );
        }
    }
}

fn join(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (path, name.chars().all(plain)) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[\"{}\"]", name.escape_debug()),
    }
}

fn without_indexes(path: &str) -> String {
    let mut inside = false;
    let keep = |c: &char| {
        inside = *c == '[' || (inside && *c != ']');
        !inside && *c != ']'
    };
    path.chars().filter(keep).collect()
}

/// What YAML readers, Kubernetes' among them, take a plain word for, if not a string.
fn looks_like(text: &str) -> Option<&'static str> {
    const BOOLEANS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    if BOOLEANS.contains(&text.to_ascii_lowercase().as_str()) {
        return Some("boolean");
    }
    let digits = text.trim_start_matches(['+', '-']);
    let radix =
        |prefix, radix| digits.strip_prefix(prefix).is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok());
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (digits.replace('_', "").parse::<f64>().is_ok() || radix("0x", 16) || radix("0o", 8));
    let special = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    (number || special).then_some("number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_that_are_no_strings() {
        for text in ["no", "Yes", "off", "1", "-1", "1.10", "0x1f", "1e3", ".inf", "1_000"] {
            assert!(looks_like(text).is_some(), "{text}");
        }
        for text in ["norway", "1.2.3", "v1", "10s", ".", "-", "a1", "/", "500m", "1.2.3.4"] {
            assert!(looks_like(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_path_without_its_indexes() {
        assert_eq!(without_indexes("spec.containers[12].resources"), "spec.containers.resources");
    }
}
