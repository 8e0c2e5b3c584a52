//! What is wrong with a file, told as a good compiler tells it: file, line, path, what was expected, a hint.

use std::fmt;
use std::sync::Arc;

/// The longest source line, in characters, that is shown.
const SHOWN_WIDTH: usize = 120;

/// A file that was read: kept to show the line of a mistake.
#[derive(PartialEq, Eq)]
pub(crate) struct Source {
    /// As the user can open it: under the folder as it was typed.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive() // the text may hold secrets
    }
}

/// Where in a file something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) source: Arc<Source>,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters; 0 points between two.
    pub(crate) width: usize,
    /// The way to it inside of the document, such as `spec.template.spec.containers[0].image`; may be empty.
    pub(crate) path: String,
    /// Whether the line may hold a secret and is not shown.
    pub(crate) secret: bool,
}

impl Place {
    /// A whole file.
    pub(crate) fn file(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), line: 0, column: 0, width: 0, path: String::new(), secret: true }
    }

    /// The file, under the folder as it was typed.
    pub fn file_name(&self) -> &str {
        &self.source.name
    }

    /// The line, from 1; 0 when the whole file is meant.
    pub fn line(&self) -> usize {
        self.line
    }

    fn sort_key(&self) -> (&str, usize, usize) {
        (&self.source.name, self.line, self.column)
    }

    /// `file:line:column`, then the line itself with a mark below it.
    fn show(&self, f: &mut fmt::Formatter<'_>, label: &str) -> fmt::Result {
        let location = match self.line {
            0 => self.source.name.clone(),
            line => format!("{}:{line}:{}", self.source.name, self.column),
        };
        let line = if self.secret { None } else { self.source.text.lines().nth(self.line.saturating_sub(1)) };
        let Some(line) = line.filter(|_| self.line > 0 && self.column <= SHOWN_WIDTH) else {
            write!(f, "  --> {location}")?;
            return if label.is_empty() { writeln!(f) } else { writeln!(f, ", {label}") };
        };
        let margin = self.line.to_string();
        let blank = " ".repeat(margin.len());
        let shown: String = line.chars().take(SHOWN_WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let room = shown.trim_end().chars().count().saturating_sub(self.column - 1);
        let mark = "^".repeat(self.width.min(room).max(1));
        writeln!(f, "{blank} --> {location}")?;
        writeln!(f, "{blank}  |")?;
        writeln!(f, "{margin}  | {}", shown.trim_end())?;
        let marked = format!("{}{mark} {label}", " ".repeat(self.column - 1));
        writeln!(f, "{blank}  | {}", marked.trim_end())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source.name),
            line => write!(f, "{}:{line}", self.source.name),
        }
    }
}

/// One thing that is wrong, or (as a warning) worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
    pub(crate) also: Option<(&'static str, Place)>,
    pub(crate) expected: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) tried: Vec<String>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, also: None, expected: None, hint: None, tried: Vec::new() }
    }

    pub(crate) fn at(message: impl Into<String>, place: &Place) -> Self {
        Self { place: Some(place.clone()), ..Self::new(message) }
    }

    #[must_use]
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn did_you_mean(self, closest: Option<&str>) -> Self {
        match closest {
            Some(closest) => self.hint(format!("did you mean `{closest}`?")),
            None => self,
        }
    }

    #[must_use]
    pub(crate) fn also(mut self, label: &'static str, place: &Place) -> Self {
        self.also = Some((label, place.clone()));
        self
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, severity: &str) -> fmt::Result {
        writeln!(f, "{severity}: {}", self.message)?;
        if let Some(place) = &self.place {
            let label = if place.path.is_empty() { String::new() } else { format!("at {}", place.path) };
            place.show(f, &label)?;
        }
        if let Some((label, place)) = &self.also {
            place.show(f, label)?;
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "  = expected: {expected}")?;
        }
        for tried in &self.tried {
            writeln!(f, "  = tried: {tried}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "  = hint: {}", hint.replace('\n', "\n          "))?;
        }
        Ok(())
    }
}

/// A warning: what was read is accepted, and probably not what is meant. `Display` shows it like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub(crate) Mistake);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "warning")
    }
}

/// Everything that is wrong with a folder, in the order of its files and lines. Never empty.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes as an error, if there are any.
    pub(crate) fn check(mut mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            return Ok(());
        }
        mistakes.sort_by(|a, b| a.place.as_ref().map(Place::sort_key).cmp(&b.place.as_ref().map(Place::sort_key)));
        mistakes.dedup();
        Err(Self(mistakes))
    }

    pub(crate) fn only(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.0 {
            mistake.show(f, "error")?;
            writeln!(f)?;
        }
        match self.0.len() {
            1 => f.write_str("1 mistake; nothing was started"),
            count => write!(f, "{count} mistakes; nothing was started"),
        }
    }
}

impl fmt::Debug for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f) // `unwrap` in a test shows what a user would see
    }
}

/// A user's text in backquotes: control characters escaped, cut at 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\'", "'").replace("\\\"", "\""))
}

/// `a`, `b` or `c`.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
    }
}

/// The candidate that a misspelt word most probably means.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance where exchanged neighbours count once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognised() {
        let fields = ["replicas", "selector", "template", "containerPort"];
        assert_eq!(closest("replica", fields), Some("replicas"));
        assert_eq!(closest("repliacs", fields), Some("replicas"));
        assert_eq!(closest("containerport", fields), Some("containerPort"));
        assert_eq!(closest("strategy", fields), None);
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(quoted("a\u{1b}[31m"), "`a\\u{1b}[31m`");
    }
}
