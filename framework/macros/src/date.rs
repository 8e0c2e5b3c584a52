//! Dates in attributes: `"2026-11-01"` is midnight UTC.

use syn::{Error, LitStr, Result};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// A date in seconds since 1970.
pub(crate) fn seconds(text: &LitStr) -> Result<i64> {
    days(&text.value())
        .map(|days| days * SECONDS_PER_DAY)
        .ok_or_else(|| Error::new(text.span(), "this is no date; write it as \"2026-11-01\""))
}

/// Days since 1970-01-01, in the Gregorian calendar.
fn days(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(index)?;
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    // Leap years before this one, counted from year 0.
    let before = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(before) - leaps(1969);
    Some(years + lengths[..index].iter().sum::<i64>() + day - 1)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        assert_eq!(days("1970-01-01"), Some(0));
        assert_eq!(days("2000-03-01"), Some(11_017));
        assert_eq!(days("2026-11-01").map(|days| days * SECONDS_PER_DAY), Some(1_793_491_200));
        assert_eq!(days("2027-05-01").map(|days| days * SECONDS_PER_DAY), Some(1_809_129_600));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "2026-02-29", "2026-13-01", "2026-00-10", "2026-11-31", "26-11-01", "2026-11-1", "2026-11-01-"]
        {
            assert_eq!(days(text), None, "{text}");
        }
        assert!(days("2028-02-29").is_some());
    }
}
