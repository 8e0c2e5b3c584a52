//! The rows of a waterfall: each span at its place in the tree, and what is written there.

use std::collections::{HashMap, HashSet};

use crate::conventions::attribute;
use crate::span::SpanKind;
use crate::traces::trace::{Span, Trace};

/// From this depth on the tree is drawn no deeper: a chain of calls without end must not push the names away.
const DEEPEST: usize = 16;

/// A span at its place in the tree.
pub(super) struct Row<'a> {
    pub(super) span: &'a Span,
    /// The lines of the tree, `│ └─`.
    pub(super) tree: String,
    /// Its parent is named, and not here.
    pub(super) is_orphan: bool,
}

impl Row<'_> {
    /// The tree's lines and the title.
    pub(super) fn label(&self) -> String {
        let failed = if self.span.error.is_some() { "✗ " } else { "" };
        format!("{}{failed}{}", self.tree, title(self.span))
    }
}

/// `POST /v1/bookings`; for a call also to whom, and for a failure its status.
pub(super) fn title(span: &Span) -> String {
    let mut title = if span.kind == SpanKind::Client { "→ ".to_owned() } else { String::new() };
    title.push_str(&printable(short(&span.name)));
    let is_bare_method = !span.name.contains([' ', '/']);
    if let Some(server) = span.text(attribute::SERVER_ADDRESS)
        && span.kind == SpanKind::Client
        && is_bare_method
    {
        title.push(' ');
        title.push_str(&printable(server));
    }
    if let Some(status) = span.status()
        && span.error.is_some()
    {
        title.push(' ');
        title.push_str(&printable(&status));
    }
    title
}

/// `Tracking/Create` for `craterate.tracking.v1.Tracking/Create`: the package says nothing new in a trace.
fn short(name: &str) -> &str {
    match name.split_once('/') {
        Some((service, _)) if !service.is_empty() && !service.contains(' ') => {
            &name[service.rfind('.').map_or(0, |dot| dot + 1)..]
        }
        _ => name,
    }
}

/// Span names come from anybody's programs: none of them may move the cursor or turn the writing round.
pub(super) fn printable(text: &str) -> String {
    let moves = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if moves(c) { '·' } else { c }).collect()
}

/// The tree, depth first, children by start. Each span comes exactly once, whatever the parents claim.
pub(super) fn rows(trace: &Trace) -> Vec<Row<'_>> {
    let mut children: HashMap<&str, Vec<&Span>> = HashMap::new();
    for span in &trace.spans {
        if let Some(parent) = span.parent_span_id.as_deref() {
            children.entry(parent).or_default().push(span);
        }
    }
    let mut walk = Walk { children, seen: HashSet::new(), rows: Vec::new() };
    for root in trace.roots() {
        walk.visit(root, "", "", root.parent_span_id.is_some());
    }
    // What is left are rings of spans that name each other as parents.
    for span in &trace.spans {
        walk.visit(span, "", "", true);
    }
    walk.rows
}

struct Walk<'a> {
    children: HashMap<&'a str, Vec<&'a Span>>,
    seen: HashSet<&'a str>,
    rows: Vec<Row<'a>>,
}

impl<'a> Walk<'a> {
    /// Adds `span` and all below it: an own stack, for a chain of 2,000 spans would be deep for the thread's.
    fn visit(&mut self, span: &'a Span, branch: &str, below: &str, is_orphan: bool) {
        let mut stack = vec![(span, branch.to_owned(), below.to_owned(), is_orphan)];
        while let Some((span, branch, below, is_orphan)) = stack.pop() {
            if !self.seen.insert(&span.span_id) {
                continue;
            }
            self.rows.push(Row { span, tree: branch, is_orphan });
            let children = self.children.get(span.span_id.as_str()).map(Vec::as_slice).unwrap_or_default();
            let is_deepest = below.chars().count() >= 2 * DEEPEST;
            for (number, child) in children.iter().rev().enumerate() {
                let is_last = number == 0;
                let branch = format!("{below}{}", if is_last { "└ " } else { "├ " });
                let rest = if is_last { "  " } else { "│ " };
                let below = if is_deepest { below.clone() } else { format!("{below}{rest}") };
                stack.push((child, branch, below, false));
            }
        }
    }
}
