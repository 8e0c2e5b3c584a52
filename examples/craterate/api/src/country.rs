//! Where parcels go.

use std::str::FromStr;

/// How far away a country is; later ones are farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The Nordic countries.
    Nordic,
    /// The rest of Europe.
    Europe,
    /// Everywhere else.
    World,
}

/// A country that craterate ships from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2, in upper case.
    pub code: &'static str,
    /// Its English name.
    pub name: &'static str,
    /// How far away it is.
    pub region: Region,
}

/// Where craterate is at home.
pub const HOME: Country = country("NO", "Norway", Region::Nordic);

/// Every country served, in the order of a menu.
pub const COUNTRIES: [Country; 16] = [
    HOME,
    country("SE", "Sweden", Region::Nordic),
    country("DK", "Denmark", Region::Nordic),
    country("FI", "Finland", Region::Nordic),
    country("IS", "Iceland", Region::Nordic),
    country("DE", "Germany", Region::Europe),
    country("NL", "Netherlands", Region::Europe),
    country("BE", "Belgium", Region::Europe),
    country("FR", "France", Region::Europe),
    country("ES", "Spain", Region::Europe),
    country("IT", "Italy", Region::Europe),
    country("PL", "Poland", Region::Europe),
    country("GB", "United Kingdom", Region::Europe),
    country("US", "United States", Region::World),
    country("CA", "Canada", Region::World),
    country("JP", "Japan", Region::World),
];

const fn country(code: &'static str, name: &'static str, region: Region) -> Country {
    Country { code, name, region }
}

/// Why a text is no country served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCountryError;

impl std::fmt::Display for ParseCountryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("must be one of ")?;
        f.write_str(&COUNTRIES.map(|country| country.code).join(", "))
    }
}

impl std::error::Error for ParseCountryError {}

impl FromStr for Country {
    type Err = ParseCountryError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        COUNTRIES.into_iter().find(|country| country.code == code).ok_or(ParseCountryError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_two_capital_letters_of_one_country() {
        for country in COUNTRIES {
            assert_eq!(country.code.parse(), Ok(country));
            assert!(country.code.len() == 2 && country.code.bytes().all(|c| c.is_ascii_uppercase()));
        }
        for code in ["no", "", "NOR", "XX"] {
            assert_eq!(code.parse::<Country>(), Err(ParseCountryError));
        }
    }
}
