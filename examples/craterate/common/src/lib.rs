//! What craterate's contracts have in common: countries, weights, texts, money, and the header that names who answered.
//!
//! Rules are `garde` rules, so that a contract's type says which of them hold for which field.

pub mod country;
pub mod instance;
pub mod mistakes;
pub mod rules;
pub mod text;
pub mod weight;

/// The currency of every price.
pub const CURRENCY: &str = "NOK";

/// Minor units as a decimal number, `12950` as `129.50`.
pub fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_keep_two_digits() {
        assert_eq!(decimal(12_905), "129.05");
        assert_eq!(decimal(7), "0.07");
    }
}
