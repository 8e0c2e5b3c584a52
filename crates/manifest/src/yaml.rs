//! YAML as a tree in which every node knows its place.
//!
//! Not serde: a deserializer stops at the first mistake and has lost the places when a reference turns out to be wrong. Here
//! nothing is resolved: a scalar is its text, and the field that reads it says what it should be. So `no` never turns
//! into `false`, nor `1.10` into `1.1`.

use std::iter::Peekable;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::mistake::{Mistake, Place, Source, quoted};

/// Bytes in one file. A manifest is a few KiB; this is where a mistake, or an attack, begins.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;
/// Nodes in one file.
pub(crate) const MAX_NODES: usize = 10_000;
/// Collections inside each other.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and where it is.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: At,
}

/// Line (from 1), column (from 1) and width in characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// `plain` is text without quotes, which YAML readers take for numbers, booleans and null where it looks like one.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
    /// Has been reported already: reading it says nothing more.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: At,
}

/// The documents of a file, and whether that was all of it. Empty documents are left out.
pub(crate) fn parse(source: &Arc<Source>, mistakes: &mut Vec<Mistake>) -> (Vec<Node>, bool) {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let options =
        granit_parser::options! { emit_unresolved_aliases: true, emit_anchor_events: true, emit_comments: false };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { events: parser.peekable(), source, mistakes, nodes: 0 };
    let mut documents = Vec::new();
    match builder.documents(&mut documents) {
        Ok(()) => (documents, true),
        Err(Stop) => (documents, false),
    }
}

/// The rest of the file cannot be read; why has been reported.
struct Stop;

struct Builder<'a, P: Iterator> {
    events: Peekable<P>,
    source: &'a Arc<Source>,
    mistakes: &'a mut Vec<Mistake>,
    nodes: usize,
}

impl<'a, P: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Builder<'a, P> {
    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Stop> {
        loop {
            let Some((event, span)) = self.next()? else { return Ok(()) };
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, span, 0)?;
                    if !node.is_null() {
                        documents.push(node);
                    }
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        let at = at(&span);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} nodes in one file");
            return Err(self.stop(self.mistake(message, at).hint("split the file")));
        }
        if depth > MAX_DEPTH {
            return Err(self.stop(self.mistake(format!("more than {MAX_DEPTH} levels of nesting"), at)));
        }
        if event.anchor_id().is_some() {
            self.refuse("anchors and aliases are not used here", at, "write the value out where it is needed");
        }
        let is_tagged = event.tag().is_some();
        if is_tagged {
            self.refuse("tags are not used here", at, "leave the tag out; quote the value if it is a string");
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.sequence(depth)?,
            Event::MappingStart(..) => self.mapping(depth)?,
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse("anchors and aliases are not used here", at, "write the value out where it is needed");
                Value::Refused
            }
            _ => return Err(self.stop(self.mistake("this is no YAML value", at))),
        };
        let value = if is_tagged && matches!(value, Value::Scalar { .. }) { Value::Refused } else { value };
        Ok(Node { value, at })
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            match self.child()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.child()?;
            if event == Event::MappingEnd {
                return Ok(Value::Mapping(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.child()?;
            let value = self.node(event, span, depth + 1)?;
            let text = match key.value {
                Value::Scalar { text, .. } => text,
                Value::Refused => continue,
                Value::Sequence(_) | Value::Mapping(_) => {
                    self.refuse("a key must be a plain word", key.at, "lists and maps cannot be keys here");
                    continue;
                }
            };
            if text == "<<" {
                self.refuse("merge keys are not used here", key.at, "write the fields out");
            } else if let Some((first, _)) = entries.iter().find(|(known, _)| known.text == text) {
                let first = self.place(first.at);
                let mistake = self.mistake(format!("the key {} is given twice", quoted(&text)), key.at);
                self.mistakes.push(mistake.also("first here", &first));
            } else {
                entries.push((Key { text, at: key.at }, value));
            }
        }
    }

    /// The next event inside of a collection.
    fn child(&mut self) -> Result<(Event<'a>, Span), Stop> {
        let next = self.next()?;
        next.ok_or_else(|| self.stop(Mistake::at("the file ends too early", &Place::file(self.source))))
    }

    /// The next event, without the anchors' names.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Anchor(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => {
                    let at = At { line: error.marker().line().max(1), column: error.marker().col() + 1, width: 1 };
                    let message = format!("this is not YAML: {}", error.info());
                    let mistake = self.mistake(message, at);
                    let is_tab = error.info().contains("tab");
                    return Err(self.stop(if is_tab { mistake.hint("indent with spaces") } else { mistake }));
                }
            }
        }
    }

    fn stop(&mut self, mistake: Mistake) -> Stop {
        self.mistakes.push(mistake);
        Stop
    }

    fn refuse(&mut self, message: &str, at: At, hint: &str) {
        let mistake = self.mistake(message, at).hint(hint);
        self.mistakes.push(mistake);
    }

    fn mistake(&self, message: impl Into<String>, at: At) -> Mistake {
        Mistake::at(message, &self.place(at))
    }

    fn place(&self, at: At) -> Place {
        Place {
            source: Arc::clone(self.source),
            line: at.line,
            column: at.column,
            width: at.width,
            path: String::new(),
            secret: may_hold_secrets(self.source),
        }
    }
}

/// Before a document's kind is known: whether any line of its file could be a secret.
fn may_hold_secrets(source: &Source) -> bool {
    source.text.contains("Secret") || source.text.contains("secrets:")
}

fn at(span: &Span) -> At {
    let width = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    At { line: span.start.line().max(1), column: span.start.col() + 1, width }
}

impl Node {
    /// Whether it is written as nothing, `~` or `null`: the same as leaving the field out.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}
