//! How heavy parcels are: whole grams inside, kilograms where people write.

use std::str::FromStr;

/// The heaviest parcel, in grams.
pub const MAX_GRAMS: u32 = 31_500;

/// Why a text is no weight in kilograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseWeightError;

impl std::fmt::Display for ParseWeightError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("must be kilograms from 0.001 to 31.5, such as 2.5")
    }
}

impl std::error::Error for ParseWeightError {}

/// A weight written in kilograms, with a point or (as people here do) a comma, to the gram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kilograms {
    /// The same in grams, from 1 to [`MAX_GRAMS`].
    pub grams: u32,
}

impl FromStr for Kilograms {
    type Err = ParseWeightError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|c| c.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 6 || fraction.len() > 3 {
            return Err(ParseWeightError);
        }
        let number = |s: &str| s.parse::<u32>().or(Err(ParseWeightError));
        let grams = number(whole)? * 1000 + number(&format!("{fraction:0<3}"))?;
        if is_valid(grams) { Ok(Self { grams }) } else { Err(ParseWeightError) }
    }
}

/// Whether a parcel may have a weight.
///
/// # Errors
/// What it must be.
pub fn check(grams: u32) -> Result<(), String> {
    if is_valid(grams) { Ok(()) } else { Err(format!("must be 1 to {MAX_GRAMS}")) }
}

fn is_valid(grams: u32) -> bool {
    (1..=MAX_GRAMS).contains(&grams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilograms_are_read_to_the_gram() {
        for (text, grams) in
            [("2.5", 2500), ("2,5", 2500), ("1", 1000), (" 0.001 ", 1), ("31.5", 31_500), ("007.050", 7050)]
        {
            assert_eq!(text.parse(), Ok(Kilograms { grams }), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_weight() {
        for text in
            ["", "0", "0.000", "31.501", "-1", "+1", "1e3", "NaN", "1.2345", ".5", "5.", "1.2.3", "9999999", "²"]
        {
            assert_eq!(text.parse::<Kilograms>(), Err(ParseWeightError), "{text}");
        }
    }
}
