//! What people write into the forms, and what is wrong with it.

use craterate_common::country::{Country, HOME};
use craterate_common::weight::Kilograms;
use samspill::Problem;
use serde::Deserialize;
use shipping_cost_calculator_api::QuoteRequest;

/// The form for a price, and with the rest of the fields the form for a booking. Everything is a text as it was
/// written, so that a form with a mistake comes back as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Order {
    pub(crate) from: String,
    pub(crate) to: String,
    /// In kilograms.
    pub(crate) weight: String,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    /// The `Idempotency-Key` of this form: sent twice, it books once.
    pub(crate) key: String,
}

/// The form with which one plays the carrier.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Happening {
    pub(crate) tracking_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) place: String,
}

/// The form with which an invoice is paid.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Payment {
    pub(crate) invoice_id: String,
    pub(crate) cents: String,
    /// The `Idempotency-Key` of this form: sent twice, it pays once.
    pub(crate) key: String,
}

impl Order {
    /// The form of somebody who just came.
    pub(crate) fn blank() -> Self {
        Self { from: HOME.code.to_owned(), ..Self::default() }
    }

    /// Whether nothing was asked yet.
    pub(crate) fn is_blank(&self) -> bool {
        self.from.is_empty() && self.to.is_empty() && self.weight.is_empty()
    }

    /// What to ask the calculator.
    ///
    /// # Errors
    /// A message by each field that is wrong.
    pub(crate) fn parcel(&self) -> Result<QuoteRequest, Messages> {
        let mut messages = Messages::default();
        for (field, code) in [("from", &self.from), ("to", &self.to)] {
            if code.parse::<Country>().is_err() {
                messages.add(field, "Please choose a country from the list.");
            }
        }
        let weight = self.weight.parse::<Kilograms>();
        if let Err(error) = weight {
            messages.add("weight", format!("The weight {error}."));
        }
        match weight {
            Ok(Kilograms { grams }) if messages.is_empty() => {
                Ok(QuoteRequest { from: self.from.clone(), to: self.to.clone(), grams })
            }
            _ => Err(messages),
        }
    }
}

/// What to tell people about what they sent: by a field, or above the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages(Vec<(String, String)>);

impl Messages {
    /// One sentence above the form.
    pub(crate) fn general(text: impl Into<String>) -> Self {
        Self(vec![(String::new(), text.into())])
    }

    pub(crate) fn add(&mut self, field: &str, text: impl Into<String>) {
        self.0.push((field.to_owned(), text.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said by one field.
    pub(crate) fn by<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == field).map(|(_, text)| text.as_str())
    }

    /// What is said about none of the fields that the page shows.
    pub(crate) fn above<'a>(&'a self, fields: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(name, _)| !fields.contains(&name.as_str())).map(|(_, text)| text.as_str())
    }
}

/// What a service has to say, in the page's words.
impl From<&Problem> for Messages {
    fn from(problem: &Problem) -> Self {
        if problem.errors().is_empty() {
            let detail = problem.detail_text().unwrap_or("Please try again.");
            return Self::general(format!("{}. {detail}", problem.title()));
        }
        let mut messages = Self::default();
        for error in problem.errors() {
            let (field, name) = match error.field.as_str() {
                "grams" => ("weight", "weight in grams"),
                field => (field, field),
            };
            messages.add(field, format!("The {name} {}.", error.detail));
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(from: &str, to: &str, weight: &str) -> Order {
        Order { from: from.to_owned(), to: to.to_owned(), weight: weight.to_owned(), ..Order::default() }
    }

    #[test]
    fn a_norwegian_comma_is_a_decimal_point() {
        let expected = QuoteRequest { from: "NO".to_owned(), to: "SE".to_owned(), grams: 2500 };
        assert_eq!(order("NO", "SE", "2,5").parcel(), Ok(expected));
    }

    #[test]
    fn every_wrong_field_has_its_message() {
        let messages = order("", "XX", "heavy").parcel().unwrap_err();
        for field in ["from", "to", "weight"] {
            assert_eq!(messages.by(field).count(), 1, "{field}");
        }
        assert_eq!(messages.above(&["from", "to", "weight"]).count(), 0);
        assert_eq!(messages.above(&["from"]).count(), 2, "what no field shows is not lost");
    }
}
