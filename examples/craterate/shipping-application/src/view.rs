//! The HTML of the pages.

mod booking;
mod home;

use craterate_common::decimal;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use samspill::Problem;

pub(crate) use self::booking::{booked, booking};
pub(crate) use self::home::home;
use crate::shop::Visit;

/// Inside of the page, so that one request is one trace.
const STYLE: &str = include_str!("style.css");

/// A crate, drawn with a few lines; also the icon, so that browsers ask for no other.
const CRATE: &str = include_str!("crate.svg");

/// A page: the sign above the shop, the goods, and at the bottom who served.
fn layout(visit: &Visit, title: &str, goods: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · craterate" }
                link rel="icon" type="image/svg+xml" href=(icon());
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a href="/" { (PreEscaped(CRATE)) span { "craterate" } }
                    p { "You’ve got crates, we’ve got rates!" }
                }
                main { (goods) }
                (receipt(visit))
            }
        }
    }
}

/// Who served, and under which number the whole way can be looked up.
fn receipt(visit: &Visit) -> Markup {
    html! {
        footer {
            p { "This page was served by" }
            ul #served-by { @for instance in visit.served_by() { li { (instance) } } }
            @if let Some(trace_id) = visit.trace_id() {
                p { "Follow its whole way in a terminal: " code { "samspill trace " span #trace-id { (trace_id) } } }
                p { "Write " code { "samspill" } " there as you wrote it for " code { "samspill up" } "." }
            }
        }
    }
}

/// The page for what cannot be shown.
pub(crate) fn failure(visit: &Visit, problem: &Problem) -> Markup {
    layout(
        visit,
        problem.title(),
        &html! {
            section.card {
                h1 { (problem.title()) }
                @if let Some(detail) = problem.detail_text() { p { (detail) } }
                a.button href="/" { "Back to the counter" }
            }
        },
    )
}

/// What is wrong with one field, if anything, where a screen reader finds it too (`aria-describedby`).
fn messages_by(messages: &crate::form::Messages, field: &str) -> Markup {
    html! { @for message in messages.by(field) { p.message id={ "wrong-" (field) } role="alert" { (message) } } }
}

/// What is wrong with none of the fields shown.
fn messages_above(messages: &crate::form::Messages, fields: &[&str]) -> Markup {
    html! { @for message in messages.above(fields) { p.message role="alert" { (message) } } }
}

/// A labelled line to write on, with its message.
fn text_field(messages: &crate::form::Messages, name: &str, label: &str, value: &str, hint: &str) -> Markup {
    let is_wrong = messages.by(name).next().is_some();
    html! {
        div.field {
            label for=(name) { (label) }
            input #(name) name=(name) value=(value) placeholder=(hint) autocomplete="off"
                aria-invalid=[is_wrong.then_some("true")]
                aria-describedby=[is_wrong.then(|| format!("wrong-{name}"))];
            (messages_by(messages, name))
        }
    }
}

fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

fn price(cents: u64, currency: &str) -> String {
    format!("{} {currency}", decimal(cents))
}

/// The drawing as a `data:` URL.
fn icon() -> String {
    let mut url = "data:image/svg+xml,".to_owned();
    for c in CRATE.trim_end().chars() {
        match c {
            '#' => url.push_str("%23"),
            '%' => url.push_str("%25"),
            '\n' => url.push(' '),
            c => url.push(c),
        }
    }
    url
}
