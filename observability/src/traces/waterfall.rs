//! A trace in a terminal: who called whom, in whose name, how long it took, and when.

mod tree;

use std::collections::HashSet;
use std::fmt::Write;

use self::tree::{Row, printable, rows, title};
use super::trace::{Span, Trace};
use crate::conventions::attribute;

/// Narrower than this nothing can be read; wider than this the eye loses the line.
const WIDTH: std::ops::RangeInclusive<usize> = 60..=200;

/// Width of the bars: what they get at least, and at most.
const BAR: std::ops::RangeInclusive<usize> = 14..=60;

/// Two spaces between columns.
const GAP: usize = 2;

const PLAIN: &str = "";
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";

/// Draws `trace` as an indented tree with bars, in lines of at most `width` characters, each ended by a line feed.
///
/// `→` marks a call, seen from the caller; `✗` what failed, whose reason is told below the tree. With `color`, ANSI
/// colours: proxies blue, applications green, databases yellow, failures red.
pub fn waterfall(trace: &Trace, width: usize, color: bool) -> String {
    let rows = rows(trace);
    let columns = Columns::fit(trace, &rows, width.clamp(*WIDTH.start(), *WIDTH.end()));
    let mut page = Page { text: String::new(), color };
    heading(&mut page, trace, &columns);
    for row in &rows {
        line(&mut page, trace, row, &columns);
    }
    notes(&mut page, trace, &rows, &columns);
    page.text
}

/// The widths of the columns, in characters.
struct Columns {
    label: usize,
    service: usize,
    proxy: usize,
    duration: usize,
    bar: usize,
}

impl Columns {
    /// The bars get what the words leave; where that is too little, the words are cut, the tree's last.
    fn fit(trace: &Trace, rows: &[Row<'_>], width: usize) -> Self {
        let longest = |length: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(length).max().unwrap_or(0);
        let label = longest(&|row| row.label().chars().count());
        let service = longest(&|row| row.span.service.chars().count()).max("SERVICE".len());
        let proxy = longest(&|row| row.span.proxy().map_or(0, |proxy| proxy.chars().count()));
        let duration = milliseconds(trace.duration_nanos()).len().max("MS".len());
        let fixed = proxy + duration + 4 * GAP;
        let words = width.saturating_sub(fixed + *BAR.start());
        let (label, service) = if label + service <= words {
            (label, service)
        } else {
            let service = service.min((words * 2 / 5).max(10));
            (words.saturating_sub(service), service)
        };
        let bar = width.saturating_sub(fixed + label + service).clamp(*BAR.start(), *BAR.end());
        Self { label, service, proxy, duration, bar }
    }

    fn width(&self) -> usize {
        self.label + self.service + self.proxy + self.duration + self.bar + 4 * GAP
    }
}

fn heading(page: &mut Page, trace: &Trace, columns: &Columns) {
    let services: HashSet<&str> = trace.spans.iter().map(|span| span.service.as_str()).collect();
    let summary = trace.summary();
    let failed = if summary.errors > 0 { format!(", {} failed", summary.errors) } else { String::new() };
    let spans = count(summary.spans, "span");
    let services = count(services.len(), "service");
    let total = milliseconds(summary.duration_nanos);
    let figures = format!("{total} ms, {spans}, {services}{failed}");
    let name = printable(&summary.name);
    let room = columns.width().saturating_sub(figures.len() + GAP);
    page.write(BOLD, fill(&name, room).trim_end());
    page.gap();
    page.write(PLAIN, &figures);
    page.end_line();
    page.write(DIM, &format!("trace {}", trace.trace_id));
    page.end_line();
    page.end_line();
    let names = format!(
        "{}  {}  {}  {}  {}",
        fill("SPAN", columns.label),
        fill("SERVICE", columns.service),
        fill(if columns.proxy >= "PROXY".len() { "PROXY" } else { "" }, columns.proxy),
        fill_left("MS", columns.duration),
        format_args!("0{}", fill_left(&total, columns.bar - 1)),
    );
    page.write(DIM, &names);
    page.end_line();
}

fn line(page: &mut Page, trace: &Trace, row: &Row<'_>, columns: &Columns) {
    let span = row.span;
    let failed = span.error.is_some();
    page.write(DIM, &row.tree);
    let label = row.label();
    let title = label.strip_prefix(row.tree.as_str()).unwrap_or_default();
    let room = columns.label.saturating_sub(row.tree.chars().count());
    page.write(if failed { RED } else { PLAIN }, &fill(title, room));
    page.gap();
    page.write(PLAIN, &fill(&printable(&span.service), columns.service));
    page.gap();
    page.write(DIM, &fill(&printable(span.proxy().unwrap_or_default()), columns.proxy));
    page.gap();
    page.write(PLAIN, &fill_left(&milliseconds(span.duration_nanos()), columns.duration));
    page.gap();
    page.write(bar_color(span), &bar(trace, span, columns.bar));
    page.end_line();
}

fn notes(page: &mut Page, trace: &Trace, rows: &[Row<'_>], columns: &Columns) {
    let mut notes = Vec::new();
    for row in rows {
        let span = row.span;
        if let Some(error) = &span.error {
            let proxy = span.proxy().filter(|proxy| *proxy != span.service);
            let proxy = proxy.map(|proxy| format!(" {proxy}")).unwrap_or_default();
            let reason = if span.status().as_deref() == Some(error) { String::new() } else { format!(": {error}") };
            notes.push((RED, format!("✗ {}{proxy}, {}{reason}", span.service, title(span))));
        }
        for link in &span.links {
            notes.push((DIM, format!("{} was caused by trace {}", span.name, link.trace_id)));
        }
    }
    let orphans = rows.iter().filter(|row| row.is_orphan).count();
    if orphans > 0 {
        let parts = count(orphans, "part");
        notes.push((DIM, format!("{parts} of this trace came without what caused it: that span is late or lost")));
    }
    if trace.dropped_spans > 0 {
        notes.push((DIM, format!("{} more spans were not kept: the trace is too long", trace.dropped_spans)));
    }
    if !notes.is_empty() {
        page.end_line();
    }
    for (style, note) in notes {
        page.write(style, fill(&printable(&note), columns.width()).trim_end());
        page.end_line();
    }
}

fn bar_color(span: &Span) -> &'static str {
    if span.error.is_some() {
        RED
    } else if span.proxy().is_some() {
        BLUE
    } else if span.attributes.contains_key(attribute::DB_SYSTEM_NAME) {
        YELLOW
    } else {
        GREEN
    }
}

/// The span's time within the trace's, to half a character; the shortest span still shows.
fn bar(trace: &Trace, span: &Span, width: usize) -> String {
    let halves = 2 * width as u128;
    let total = u128::from(trace.duration_nanos()).max(1);
    let offset = |nanos: u64| u128::from(nanos.saturating_sub(trace.start_unix_nanos())) * halves;
    let start = (offset(span.start_unix_nanos) / total).min(halves - 1);
    let end = offset(span.end_unix_nanos).div_ceil(total).clamp(start + 1, halves);
    let drawn =
        (0..halves).step_by(2).map(|half| match ((start..end).contains(&half), (start..end).contains(&(half + 1))) {
            (true, true) => '━',
            (true, false) => '╸',
            (false, true) => '╺',
            (false, false) => ' ',
        });
    drawn.collect()
}

/// Milliseconds with two decimals, rounded down: `0.04`, `38.40`.
fn milliseconds(nanos: u64) -> String {
    let hundredths = nanos / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Exactly `width` characters: filled with spaces, or cut with `…`.
fn fill(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain((width > 0).then_some('…')).collect()
}

fn fill_left(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}

/// Lines as they grow, with colours when they are asked for.
struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn write(&mut self, style: &str, text: &str) {
        if self.color && style != PLAIN && !text.trim().is_empty() {
            write!(self.text, "\x1b[{style}m{text}\x1b[0m").expect("because writing to a String cannot fail");
        } else {
            self.text.push_str(text);
        }
    }

    fn gap(&mut self) {
        self.text.push_str("  ");
    }

    fn end_line(&mut self) {
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests;
