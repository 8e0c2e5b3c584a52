//! The contract of these tests: every kind of argument and answer, in two versions, of which one will go.

use std::collections::BTreeMap;

use bytes::Bytes;
use garde::Validate;
use http::{HeaderMap, HeaderValue, StatusCode};
use samspill::contract::{Accepted, Created, NoContent};
use samspill::extract::{Form, IdempotencyKey, Json, Path, Query, Valid};
use samspill::{ApiError, Call, Cursor, Page, Problem, test};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) mod v1 {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub(crate) struct Ask {
        /// A country.
        pub(crate) to: String,
        pub(crate) kilograms: u32,
        /// What was agreed upon,
        /// if anything was.
        pub(crate) discount_percent: Option<u8>,
        pub(crate) speed: Option<Speed>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub(crate) struct Price {
        pub(crate) price: String,
    }
}

/// What is to be sent,
/// and where to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    #[garde(length(chars, equal = 2))]
    pub(crate) to: String,
    #[garde(range(min = 1, max = 31_500))]
    pub(crate) grams: u32,
    #[garde(skip)]
    #[serde(default)]
    pub(crate) speed: Speed,
    /// Named in Rust as callers write it, so that a rule that it breaks names it so too.
    #[garde(length(max = 8))]
    #[serde(default)]
    pub(crate) r#type: String,
}

/// How fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Speed {
    /// When there is room.
    #[default]
    Slow,
    /// The next day.
    NextDay,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Quote {
    pub(crate) cents: u64,
    /// Of each tariff, by its number.
    pub(crate) parts: BTreeMap<u32, u64>,
    pub(crate) route: Option<Leg>,
}

/// A way, which is made of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Leg {
    /// Longitude and latitude.
    pub(crate) end: (f64, f64),
    pub(crate) stop: (String, u8),
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) legs: Vec<Leg>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewParcel {
    pub(crate) sender_name: String,
    pub(crate) contents: Contents,
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) size: Size,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Size {
    pub(crate) grams: u32,
    pub(crate) note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Contents {
    Letter,
    Goods { cents: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Parcel {
    pub(crate) id: String,
    pub(crate) parcel: Option<NewParcel>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Event {
    pub(crate) parcel: String,
    pub(crate) number: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub(crate) struct Place {
    /// Two letters.
    #[garde(length(chars, equal = 2))]
    pub(crate) country: String,
    #[garde(skip)]
    pub(crate) town: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub(crate) struct Part {
    /// How many at most.
    #[garde(range(min = 1, max = 100))]
    pub(crate) limit: Option<u32>,
    #[garde(skip)]
    pub(crate) cursor: Option<Cursor<u64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Payment {
    pub(crate) parcel: String,
    pub(crate) cents: u64,
}

#[derive(Debug, PartialEq, ApiError)]
pub(crate) enum ParcelError {
    /// We do not ship there.
    #[problem(status = 422, title = "Destination is not served", field("to", "{country} is too far away"))]
    UnknownDestination { country: String, nearest: Option<String> },
    #[problem(status = 404, title = "No such parcel", type = "https://parcels.example/no-such-parcel")]
    NoSuchParcel { id: String },
    #[problem(status = 503, title = "Tariffs are loading", retry_after_s = 2)]
    NotReady,
    #[problem(transparent)]
    Other(Problem),
}

/// Parcels, and what they cost.
///
/// Written down once,
/// for all.
#[samspill::api(
    name = "parcels",
    versions = 1..=2,
    deprecated(v1, since = "2026-11-01", sunset = "2027-05-01"),
)]
pub(crate) trait Parcels {
    /// A price in whole kilograms.
    #[get("/quote", until = 1)]
    async fn quote_v1(&self, call: &Call, ask: Query<v1::Ask>) -> Result<Json<v1::Price>, ParcelError>;

    /// A price
    /// to the gram.
    ///
    /// It holds
    /// for a day.
    #[post("/quotes", since = 2)]
    async fn quote(&self, call: &Call, ask: Valid<Json<Ask>>) -> Result<Json<Quote>, ParcelError>;

    /// How many there are of each size.
    #[get("/")]
    async fn sizes(&self, call: &Call) -> Result<Json<BTreeMap<u32, u64>>, ParcelError>;

    /// One.
    #[get("/parcels/{id}")]
    async fn parcel(&self, call: &Call, id: Path<String>) -> Result<Json<Parcel>, ParcelError>;

    /// Some, in the order of their numbers.
    #[get("/parcels", since = 2)]
    async fn parcels(&self, call: &Call, part: Valid<Query<Part>>) -> Result<Json<Page<u64, u64>>, ParcelError>;

    /// What happened to one.
    #[get("/parcels/{id}/events/{number}", since = 2)]
    async fn event(&self, call: &Call, event: Path<(String, u64)>) -> Result<Json<Event>, Problem>;

    /// Where we are.
    #[get("/depots/{country}/{town}")]
    async fn depot(&self, call: &Call, place: Valid<Path<Place>>) -> Result<axum::Json<Place>, ParcelError>;

    /// Sends one.
    #[post("/parcels")]
    async fn book(
        &self,
        call: &Call,
        key: Option<IdempotencyKey>,
        parcel: Json<NewParcel>,
    ) -> Result<Created<Parcel>, ParcelError>;

    /// Pays for one.
    #[post("/payments")]
    async fn pay(
        &self,
        call: &Call,
        key: IdempotencyKey,
        payment: Form<Payment>,
    ) -> Result<(HeaderMap, Accepted), ParcelError>;

    /// Sticks something on it.
    #[put("/parcels/{id}/label", since = 2)]
    async fn label(&self, call: &Call, id: Path<String>, image: Bytes) -> Result<NoContent, ParcelError>;

    /// Throws one away.
    #[delete("/parcels/{id}")]
    async fn discard(&self, call: &Call, id: Path<String>) -> Result<NoContent, ParcelError>;
}

/// An implementation that says what it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depot;

impl Parcels for Depot {
    async fn quote_v1(&self, call: &Call, Query(ask): Query<v1::Ask>) -> Result<Json<v1::Price>, ParcelError> {
        let grams = ask.kilograms.saturating_mul(1000);
        let ask = Ask { to: ask.to, grams, speed: ask.speed.unwrap_or_default(), r#type: String::new() };
        let Json(quote) = self.quote(call, Valid::check(Json(ask))?).await?;
        Ok(Json(v1::Price { price: format!("{}.{:02}", quote.cents / 100, quote.cents % 100) }))
    }

    async fn quote(&self, _call: &Call, Valid(Json(ask)): Valid<Json<Ask>>) -> Result<Json<Quote>, ParcelError> {
        match ask.to.as_str() {
            "XX" => Err(ParcelError::UnknownDestination { country: ask.to, nearest: Some("SE".to_owned()) }),
            "YY" => Err(ParcelError::UnknownDestination { country: ask.to, nearest: None }),
            "ZZ" => Err(ParcelError::NotReady),
            "!!" => Err(Problem::new(StatusCode::CONFLICT, "Somebody else was first").into()),
            _ => {
                let leg = Leg { end: (10.75, 59.91), stop: (ask.to, 1), legs: Vec::new() };
                let route = Leg { legs: vec![leg.clone()], ..leg };
                let parts = BTreeMap::from([(7, u64::from(ask.grams))]);
                Ok(Json(Quote { cents: u64::from(ask.grams), parts, route: Some(route) }))
            }
        }
    }

    async fn sizes(&self, _call: &Call) -> Result<Json<BTreeMap<u32, u64>>, ParcelError> {
        Ok(Json(BTreeMap::from([(1, u64::MAX)])))
    }

    async fn parcel(&self, _call: &Call, Path(id): Path<String>) -> Result<Json<Parcel>, ParcelError> {
        if id == "none" {
            return Err(ParcelError::NoSuchParcel { id });
        }
        Ok(Json(Parcel { id, parcel: None }))
    }

    async fn parcels(
        &self,
        _call: &Call,
        Valid(Query(part)): Valid<Query<Part>>,
    ) -> Result<Json<Page<u64, u64>>, ParcelError> {
        let first = part.cursor.map_or(0, |cursor| cursor.key() + 1);
        let limit = part.limit.unwrap_or(3);
        let items = (first..5).take(limit as usize + 1).collect();
        Ok(Json(Page::of(items, limit as usize, Cursor::after)))
    }

    async fn event(&self, _call: &Call, Path((parcel, number)): Path<(String, u64)>) -> Result<Json<Event>, Problem> {
        Ok(Json(Event { parcel, number }))
    }

    async fn depot(
        &self,
        _call: &Call,
        Valid(Path(place)): Valid<Path<Place>>,
    ) -> Result<axum::Json<Place>, ParcelError> {
        Ok(axum::Json(place))
    }

    async fn book(
        &self,
        _call: &Call,
        key: Option<IdempotencyKey>,
        Json(parcel): Json<NewParcel>,
    ) -> Result<Created<Parcel>, ParcelError> {
        let id = key.map_or("17".to_owned(), |IdempotencyKey(key)| key);
        Ok(Created::at(format!("parcels/{id}"), Parcel { id, parcel: Some(parcel) }))
    }

    async fn pay(
        &self,
        _call: &Call,
        IdempotencyKey(key): IdempotencyKey,
        Form(payment): Form<Payment>,
    ) -> Result<(HeaderMap, Accepted), ParcelError> {
        let text = format!("{key} {} {}", payment.parcel, payment.cents);
        let value = HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))?;
        Ok((HeaderMap::from_iter([("x-paid".parse().expect("because it is one"), value)]), Accepted))
    }

    async fn label(&self, _call: &Call, Path(id): Path<String>, image: Bytes) -> Result<NoContent, ParcelError> {
        if image.is_empty() {
            return Err(ParcelError::NoSuchParcel { id });
        }
        Ok(NoContent)
    }

    async fn discard(&self, call: &Call, id: Path<String>) -> Result<NoContent, ParcelError> {
        self.parcel(call, id).await.map(|_parcel| NoContent)
    }
}

/// A server of it.
pub(crate) async fn server() -> test::Server {
    test::Server::start(test::service("parcels", []), ParcelsApi::router(Depot)).await
}
