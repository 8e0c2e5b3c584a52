//! The one pricing rule, of both versions of the API.

use craterate_common::country::{Country, Region};

/// A price list: one amount for every parcel, and one for each kilogram begun.
struct Tariff {
    base_cents: u64,
    kilogram_cents: u64,
}

/// What a parcel costs, in øre. Farther and heavier is never cheaper.
pub(crate) fn price_cents(from: Country, to: Country, grams: u32) -> u64 {
    let tariff = tariff(from, to);
    tariff.base_cents + tariff.kilogram_cents * u64::from(grams.div_ceil(1000))
}

/// Within a country; else by the farther of the two ends.
fn tariff(from: Country, to: Country) -> Tariff {
    if from == to {
        return Tariff { base_cents: 5900, kilogram_cents: 950 };
    }
    match from.region.max(to.region) {
        Region::Nordic => Tariff { base_cents: 9900, kilogram_cents: 1500 },
        Region::Europe => Tariff { base_cents: 14_900, kilogram_cents: 2900 },
        Region::World => Tariff { base_cents: 24_900, kilogram_cents: 9500 },
    }
}

#[cfg(test)]
mod tests {
    use craterate_common::country::COUNTRIES;
    use craterate_common::weight::MAX_GRAMS;

    use super::*;

    fn price(from: &str, to: &str, grams: u32) -> u64 {
        price_cents(from.parse().unwrap(), to.parse().unwrap(), grams)
    }

    #[test]
    fn every_kilogram_begun_counts() {
        assert_eq!(price("NO", "SE", 1), 11_400);
        assert_eq!(price("NO", "SE", 1000), 11_400);
        assert_eq!(price("NO", "SE", 1001), 12_900);
        assert_eq!(price("NO", "SE", 2500), 14_400);
    }

    #[test]
    fn farther_costs_more_and_both_ways_cost_the_same() {
        let prices = ["NO", "SE", "DE", "JP"].map(|to| price("NO", to, 2500));
        assert!(prices.is_sorted_by(|near, far| near < far), "{prices:?}");
        for from in COUNTRIES {
            for to in COUNTRIES {
                assert_eq!(price_cents(from, to, MAX_GRAMS), price_cents(to, from, MAX_GRAMS));
            }
        }
    }
}
