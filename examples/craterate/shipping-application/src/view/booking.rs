//! A booking: just made, or followed later with its parcel and its invoice.

use craterate_common::country::Country;
use invoicing_api::{Invoice, Status};
use maud::{Markup, html};
use parcel_booking_api::{Booked, Booking, BookingRequest};
use parcel_tracking_api::{EventType, Parcel};
use samspill::Problem;

use super::{hidden, layout, messages_above, price, text_field};
use crate::form::Messages;
use crate::shop::Visit;

/// The page that thanks.
pub(crate) fn booked(visit: &Visit, request: &BookingRequest, booked: &Booked) -> Markup {
    let follow = format!("/bookings/{}", booked.id);
    layout(
        visit,
        "Booked",
        &html! {
            section.card {
                h1 { "Booked. Thank you, " (request.sender) "!" }
                p {
                    "Your parcel goes from " (place(&request.from)) " to " (request.recipient) " in "
                    (place(&request.to)) " for " strong { (price(booked.cents, &booked.currency)) } "."
                }
                dl {
                    dt { "Booking" } dd #booking-id { (booked.id) }
                    dt { "Parcel" } dd #tracking-id { (booked.tracking_id) }
                    dt { "Invoice" } dd #invoice-id { (booked.invoice_id) }
                }
                p { "On its own page you see where it is, and pay for it." }
                a.button #follow href=(follow) { "Follow the parcel" }
            }
        },
    )
}

/// The page to come back to. Parcel and invoice are asked of their own services, which may be away for a while.
pub(crate) fn booking(
    visit: &Visit,
    booking: &Booking,
    parcel: Result<&Parcel, &Problem>,
    invoice: Result<&Invoice, &Problem>,
    messages: &Messages,
    key: &str,
) -> Markup {
    let path = format!("/bookings/{}", booking.booked.id);
    layout(
        visit,
        "Your booking",
        &html! {
            (messages_above(messages, &["place"]))
            section.card {
                h1 { "Your booking" }
                p {
                    (kilograms(booking.grams)) " kg from " (booking.sender) " in " (place(&booking.from))
                    " to " (booking.recipient) " in " (place(&booking.to)) "."
                }
                p.quiet { "Booked " (moment(&booking.created_at)) " as " span #booking-id { (booking.booked.id) } }
            }
            section.card #parcel {
                h2 { "Where it is" }
                @match parcel {
                    Ok(parcel) => (story(&path, parcel, messages)),
                    Err(problem) => (away("The parcel", problem)),
                }
            }
            section.card #invoice {
                h2 { "What it costs" }
                @match invoice {
                    Ok(invoice) => (account(&path, invoice, key)),
                    Err(problem) => (away("The invoice", problem)),
                }
            }
        },
    )
}

fn story(path: &str, parcel: &Parcel, messages: &Messages) -> Markup {
    let is_delivered = parcel.status == EventType::Delivered.name();
    html! {
        p { "Parcel " span #tracking-id { (parcel.id) } " is " strong #parcel-status { (words(&parcel.status)) } "." }
        @if !parcel.events.is_empty() {
            ol #events {
                @for event in &parcel.events {
                    li { strong { (words(event.kind.name())) } " in " (event.place) " " (moment(&event.at)) }
                }
            }
        }
        @if !is_delivered {
            // A form, for a link to the page that is open would only scroll.
            form method="get" action=(path) { button.secondary type="submit" { "Look again" } }
            // Who has played once will go on.
            details open[messages.by("place").next().is_some() || !parcel.events.is_empty()] {
                summary { "Play the carrier" }
                form method="post" action={ (path) "/events" } {
                    p.quiet { "No lorry comes for this parcel: say yourself where it is, and what happened to it there." }
                    (hidden("tracking_id", &parcel.id))
                    (text_field(messages, "place", "Where it is now", "", "Svinesund"))
                    div.buttons {
                        @for kind in EventType::ALL {
                            button.secondary type="submit" name="type" value=(kind.name()) { (words(kind.name())) }
                        }
                    }
                }
            }
        }
    }
}

fn account(path: &str, invoice: &Invoice, key: &str) -> Markup {
    let outstanding = invoice.cents.saturating_sub(invoice.paid_cents);
    html! {
        p {
            "Invoice " span #invoice-id { (invoice.id) } " of " strong { (price(invoice.cents, &invoice.currency)) }
            " is " strong #invoice-status { @match invoice.status { Status::Open => "open", Status::Paid => "paid" } } "."
        }
        @if invoice.status == Status::Open {
            form method="post" action={ (path) "/payments" } {
                (hidden("invoice_id", &invoice.id))
                (hidden("cents", &outstanding.to_string()))
                (hidden("key", key))
                button type="submit" { "Pay " (price(outstanding, &invoice.currency)) }
            }
        }
    }
}

/// One part of the page that cannot be had now; the rest is still shown.
fn away(what: &str, problem: &Problem) -> Markup {
    html! { p.message role="status" { (what) " cannot be shown now (" (problem.title()) "). Please look again later." } }
}

/// A moment to the minute, as `2026-01-31 12:00 UTC`.
fn moment(at: &str) -> Markup {
    let minute = at.get(..16).unwrap_or(at).replace('T', " ");
    html! { time datetime=(at) { (minute) " UTC" } }
}

fn place(code: &str) -> &str {
    code.parse::<Country>().map_or(code, |country| country.name)
}

/// `picked-up` as `picked up`.
fn words(name: &str) -> String {
    name.replace('-', " ")
}

/// `2500` as `2.5`.
fn kilograms(grams: u32) -> String {
    let text = format!("{}.{:03}", grams / 1000, grams % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilograms_have_no_idle_zeros() {
        for (grams, text) in [(2500, "2.5"), (1, "0.001"), (31_000, "31"), (10_020, "10.02")] {
            assert_eq!(kilograms(grams), text);
        }
    }
}
