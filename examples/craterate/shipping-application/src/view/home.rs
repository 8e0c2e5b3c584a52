//! The counter: from, to, weight; the price; the form to book.

use craterate_common::country::COUNTRIES;
use maud::{Markup, html};
use shipping_cost_calculator_api::Quote;

use super::{hidden, layout, messages_above, messages_by, price, text_field};
use crate::form::{Messages, Order};
use crate::shop::Visit;

/// The fields that the page shows, each with its own messages.
const FIELDS: [&str; 5] = ["from", "to", "weight", "sender", "recipient"];

/// With a quote, the parcel is settled and the form to book stands below its price.
pub(crate) fn home(visit: &Visit, order: &Order, quote: Option<&Quote>, messages: &Messages) -> Markup {
    layout(
        visit,
        "What does it cost?",
        &html! {
            (messages_above(messages, &FIELDS))
            section.card {
                h1 { "What does it cost?" }
                // In a small window the price would be below what is seen.
                form method="get" action="/#quote" {
                    div.row {
                        (country_field(messages, "from", "From", &order.from))
                        (country_field(messages, "to", "To", &order.to))
                        (text_field(messages, "weight", "Weight in kg", &order.weight, "2.5"))
                    }
                    button.secondary[quote.is_some()] type="submit" { "Show the price" }
                }
            }
            @if let Some(quote) = quote { (book(order, quote, messages)) }
        },
    )
}

fn book(order: &Order, quote: &Quote, messages: &Messages) -> Markup {
    html! {
        section.card #quote {
            h2 { "Your price is " strong #price { (price(quote.cents, &quote.currency)) } }
            p.quiet { "It holds for " (quote.valid_seconds / 60) " minutes. You pay by invoice." }
            form method="post" action="/bookings" {
                (hidden("from", &order.from))
                (hidden("to", &order.to))
                (hidden("weight", &order.weight))
                (hidden("key", &order.key))
                div.row {
                    (text_field(messages, "sender", "Who sends it", &order.sender, "Kari Nordmann"))
                    (text_field(messages, "recipient", "Who gets it", &order.recipient, "Sven Svensson"))
                }
                button type="submit" { "Book the parcel" }
            }
        }
    }
}

fn country_field(messages: &Messages, name: &str, label: &str, chosen: &str) -> Markup {
    let is_wrong = messages.by(name).next().is_some();
    html! {
        div.field {
            label for=(name) { (label) }
            select #(name) name=(name)
                aria-invalid=[is_wrong.then_some("true")]
                aria-describedby=[is_wrong.then(|| format!("wrong-{name}"))] {
                @if !COUNTRIES.iter().any(|country| country.code == chosen) {
                    option value="" selected { "Choose a country" }
                }
                @for country in COUNTRIES {
                    option value=(country.code) selected[country.code == chosen] { (country.name) }
                }
            }
            (messages_by(messages, name))
        }
    }
}
