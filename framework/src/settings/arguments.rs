//! The process's arguments, read by the definition of the settings.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use super::Mistake;
use super::definition::{self, CHECK_CONFIG, HELP, Kind, OWN_FLAGS, PRINT_CONFIG, SETTINGS, Setting};

const HELP_IN_SHORT: &str = "-h";

/// What follows the program's name. Tests need not touch the process's own.
#[derive(Clone)]
pub(crate) struct Arguments(Arc<[OsString]>);

impl Arguments {
    pub(crate) fn of_process() -> Self {
        std::env::args_os().skip(1).collect()
    }

    /// Reads them all; what is wrong is among the mistakes.
    pub(super) fn given<'a>(&'a self, settings: &[Setting]) -> Given<'a> {
        let mut given = Given::default();
        let mut words = Words { rest: &self.0, taken: 0 };
        while let Some(word) = words.next() {
            match word.to_str() {
                Some(HELP_IN_SHORT) => given.wish(Wish::Help),
                Some(word) if word.starts_with("--") => given.flag(word, &mut words, settings),
                // It may be a secret that has lost its flag.
                Some(_) => {
                    given.mistake(words.place(), "is not a flag: write `--name VALUE`; `--help` lists the names");
                }
                None => given.mistake(words.place(), "is not UTF-8"),
            }
        }
        given
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl<W: Into<OsString>> FromIterator<W> for Arguments {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }
}

/// Without the words: there are secrets among them.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} arguments", self.0.len())
    }
}

/// What a service is asked for instead of serving. The later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    CheckConfig,
    PrintConfig,
    Help,
}

/// What the arguments say.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) wish: Option<Wish>,
    pub(super) settings_file: Option<&'a str>,
    pub(super) mistakes: Vec<Mistake>,
    /// The settings' names, and their values.
    values: Vec<(&'static str, &'a str)>,
}

impl<'a> Given<'a> {
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value)
    }

    fn flag(&mut self, word: &'a str, words: &mut Words<'a>, settings: &[Setting]) {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, None),
        };
        match flag {
            HELP | CHECK_CONFIG | PRINT_CONFIG if inline.is_some() => self.mistake(flag, "takes no value"),
            HELP => self.wish(Wish::Help),
            CHECK_CONFIG => self.wish(Wish::CheckConfig),
            PRINT_CONFIG => self.wish(Wish::PrintConfig),
            SETTINGS => {
                let value = inline.map(Ok).or_else(|| words.value(looks_like_value));
                self.settings_file = self.value_of(flag, value, self.settings_file).or(self.settings_file);
            }
            _ => match settings.iter().find(|setting| setting.flag() == flag) {
                Some(setting) => {
                    let value = inline.map(Ok).or_else(|| words.value_of(setting, settings));
                    if let Some(value) = self.value_of(flag, value, self.value(setting.name)) {
                        self.values.push((setting.name, value));
                    }
                }
                None => {
                    self.unknown(flag, settings);
                    if inline.is_none() {
                        // What follows is most probably its value.
                        let _not_used = words.value(looks_like_value);
                    }
                }
            },
        }
    }

    /// The value of a flag, which must be there, and only once.
    fn value_of(
        &mut self,
        flag: &str,
        value: Option<Result<&'a str, NotUtf8>>,
        before: Option<&'a str>,
    ) -> Option<&'a str> {
        match value {
            Some(Ok(value)) if before.is_none() => return Some(value),
            Some(Ok(_)) => self.mistake(flag, "is given twice"),
            Some(Err(NotUtf8)) => self.mistake(flag, "has a value that is not UTF-8"),
            None => self.mistake(flag, format!("needs a value: `{flag} VALUE`")),
        }
        None
    }

    fn unknown(&mut self, flag: &str, settings: &[Setting]) {
        let names: Vec<String> = settings.iter().map(Setting::flag).collect();
        let hint = match definition::closest(flag, names.iter().map(String::as_str).chain(OWN_FLAGS)) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("`{HELP}` lists them"),
        };
        self.mistake(flag, format!("is not a flag of this service; {hint}"));
    }

    fn wish(&mut self, wish: Wish) {
        self.wish = self.wish.max(Some(wish));
    }

    fn mistake(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, problem));
    }
}

#[derive(Clone, Copy)]
struct NotUtf8;

/// The arguments that are not read yet.
struct Words<'a> {
    rest: &'a [OsString],
    taken: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a OsStr> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.taken += 1;
        Some(first)
    }

    /// The next word, if it is the value of a setting's flag.
    fn value_of(&mut self, setting: &Setting, settings: &[Setting]) -> Option<Result<&'a str, NotUtf8>> {
        let is_flag = |word: &str| {
            let flag = word.split('=').next().unwrap_or(word);
            OWN_FLAGS.contains(&flag) || settings.iter().any(|setting| setting.flag() == flag)
        };
        match setting.kind {
            Kind::Switch => self.value(|word| word == "true" || word == "false").or(Some(Ok("true"))),
            // A secret that looks like a flag is not taken for an unknown one: mistakes repeat those.
            _ if setting.is_secret => self.value(|word| !is_flag(word)),
            _ => self.value(looks_like_value),
        }
    }

    /// The next word, if it is the value of the flag before it.
    fn value(&mut self, is_value: impl Fn(&str) -> bool) -> Option<Result<&'a str, NotUtf8>> {
        let word = self.rest.first()?.to_str();
        if word.is_none_or(is_value) {
            self.next();
            return Some(word.ok_or(NotUtf8));
        }
        None
    }

    /// Where the word is that was given last.
    fn place(&self) -> String {
        format!("argument {}", self.taken)
    }
}

fn looks_like_value(word: &str) -> bool {
    !word.starts_with("--") && word != HELP_IN_SHORT
}
