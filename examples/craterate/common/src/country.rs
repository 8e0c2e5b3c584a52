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
pub const HOME: Country = served("NO", "Norway", Region::Nordic);

/// Every country served, in the order of a menu.
pub const COUNTRIES: [Country; 16] = [
    HOME,
    served("SE", "Sweden", Region::Nordic),
    served("DK", "Denmark", Region::Nordic),
    served("FI", "Finland", Region::Nordic),
    served("IS", "Iceland", Region::Nordic),
    served("DE", "Germany", Region::Europe),
    served("NL", "Netherlands", Region::Europe),
    served("BE", "Belgium", Region::Europe),
    served("FR", "France", Region::Europe),
    served("ES", "Spain", Region::Europe),
    served("IT", "Italy", Region::Europe),
    served("PL", "Poland", Region::Europe),
    served("GB", "United Kingdom", Region::Europe),
    served("US", "United States", Region::World),
    served("CA", "Canada", Region::World),
    served("JP", "Japan", Region::World),
];

const fn served(code: &'static str, name: &'static str, region: Region) -> Country {
    Country { code, name, region }
}

/// Why a text is no country served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCountryError;

impl std::fmt::Display for ParseCountryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("must be one of ")?;
        f.write_str(&CODES.join(", "))
    }
}

impl std::error::Error for ParseCountryError {}

/// The codes of all of them.
pub const CODES: [&str; COUNTRIES.len()] = codes();

const fn codes() -> [&'static str; COUNTRIES.len()] {
    let mut codes = [""; COUNTRIES.len()];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = COUNTRIES[index].code;
        index += 1;
    }
    codes
}

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
