//! What craterate's services say to each other and to the public: every request and response, and the rules that both
//! sides of a call must know (countries, weights, the form of an id).
//!
//! One module per service. Lists are pages, money is integer minor units, ids are opaque texts.

pub mod booking;
pub mod calculator;
pub mod country;
pub mod idempotency;
pub mod instance;
pub mod invoicing;
pub mod mistakes;
pub mod statistics;
pub mod tracking;
pub mod weight;

use serde::{Deserialize, Serialize};

/// The currency of every price.
pub const CURRENCY: &str = "NOK";

/// A part of a list, and where the next part begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next part; none at the end. Opaque.
    pub next: Option<String>,
}

/// Minor units as a decimal number, `12950` as `129.50`.
pub fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_says_so_with_null() {
        let page = Page::<u8> { items: vec![1], next: None };
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"items":[1],"next":null}"#);
    }

    #[test]
    fn minor_units_keep_two_digits() {
        assert_eq!(decimal(12_905), "129.05");
        assert_eq!(decimal(7), "0.07");
    }
}
