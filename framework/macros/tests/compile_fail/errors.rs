//! `#[derive(ApiError)]`.

extern crate samspill_macros as samspill;

use samspill::ApiError;

#[derive(Debug, ApiError)]
struct Struct;

#[derive(Debug, ApiError)]
enum Empty {}

#[derive(Debug, ApiError)]
enum Generic<T> {
    #[problem(status = 404, title = "No such parcel")]
    Missing { id: T },
}

#[derive(Debug, ApiError)]
enum Mistakes {
    SaysNothing,
    #[problem(title = "No such parcel")]
    NoStatus,
    #[problem(status = 404)]
    NoTitle,
    #[problem(status = 200, title = "All is well")]
    Success,
    #[problem(status = 404, title = "No such parcel", code = 7)]
    BadKey,
    #[problem(status = 404, title = "No such parcel")]
    Tuple(String),
    #[problem(status = 422, title = "Wrong")]
    Reserved { detail: String },
    #[problem(status = 422, title = "Wrong")]
    Keyword { r#type: String },
    #[problem(status = 404, title = "No such parcel", type = "urn:parcels:same")]
    One,
    #[problem(status = 404, title = "No such parcel", type = "urn:parcels:same")]
    Two,
    #[problem(transparent)]
    Struct { problem: Problem },
    #[problem(transparent)]
    First(Problem),
    #[problem(transparent)]
    Second(Problem),
}

fn main() {}
