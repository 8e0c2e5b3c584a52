//! Types that do not fit.

use samspill::extract::{Json, Query, Valid};
use samspill::{ApiError, Call, Problem};

#[derive(Debug)]
struct Bare;

#[derive(serde::Serialize, serde::Deserialize)]
struct WithoutSchema;

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct WithoutRules;

#[derive(Debug)]
struct NoApiError;

#[samspill::api(name = "arguments", versions = 1..=1)]
trait Arguments {
    #[get("/no-extractor")]
    async fn no_extractor(&self, call: &Call, count: u32) -> Result<Json<u8>, Problem>;

    #[post("/bare")]
    async fn bare(&self, call: &Call, body: Json<Bare>) -> Result<Json<u8>, Problem>;

    #[get("/no-schema")]
    async fn no_schema(&self, call: &Call, query: Query<WithoutSchema>) -> Result<Json<u8>, Problem>;

    #[post("/no-rules")]
    async fn no_rules(&self, call: &Call, body: Valid<Json<WithoutRules>>) -> Result<Json<u8>, Problem>;
}

#[samspill::api(name = "answers", versions = 1..=1)]
trait Answers {
    #[get("/no-reply")]
    async fn no_reply(&self, call: &Call) -> Result<u32, Problem>;

    #[get("/bare")]
    async fn bare(&self, call: &Call) -> Result<Json<Bare>, Problem>;

    #[get("/no-error")]
    async fn no_error(&self, call: &Call) -> Result<Json<u8>, NoApiError>;
}

#[derive(Debug, ApiError)]
enum Members {
    #[problem(status = 404, title = "No such parcel", detail = "There is no {number}.")]
    UnknownField { id: String },
    #[problem(status = 409, title = "Not serializable")]
    Bare { bare: Bare },
}

#[derive(Debug, ApiError)]
enum NoProblem {
    #[problem(transparent)]
    Other(std::io::Error),
}
