//! The price of a parcel: a whole service, in one file.

use std::process::ExitCode;

use samspill::extract::{Json, Valid};
use samspill::{Call, Problem, Service};

/// What a parcel costs. This trait is all that other teams import.
#[samspill::api(name = "shipping-cost", versions = 1..=1)]
pub trait ShippingCost {
    /// The price of a parcel.
    #[post("/quotes")]
    async fn quote(&self, call: &Call, parcel: Valid<Json<Parcel>>) -> Result<Json<Quote>, Problem>;
}

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema, garde::Validate)]
pub struct Parcel {
    #[garde(range(min = 1, max = 31_500))]
    pub grams: u32,
}

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Quote {
    pub cents: u32,
}

struct Calculator;

impl ShippingCost for Calculator {
    async fn quote(&self, _call: &Call, Valid(Json(parcel)): Valid<Json<Parcel>>) -> Result<Json<Quote>, Problem> {
        Ok(Json(Quote { cents: 4900 + parcel.grams / 10 }))
    }
}

fn main() -> ExitCode {
    Service::new("shipping-cost").run(async |service: Service| service.serve(ShippingCostApi::router(Calculator)).await)
}
