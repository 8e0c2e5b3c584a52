//! An implementation that is not the contract's.

use samspill::extract::{Json, Path};
use samspill::{Call, Problem};

#[samspill::api(name = "parcels", versions = 1..=1)]
trait Parcels {
    #[get("/parcels")]
    async fn parcels(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;

    #[get("/parcels/{id}")]
    async fn parcel(&self, call: &Call, id: Path<u64>) -> Result<Json<u64>, Problem>;
}

struct Forgets;

impl Parcels for Forgets {
    async fn parcels(&self, _call: &Call) -> Result<Json<Vec<u64>>, Problem> {
        Ok(Json(vec![]))
    }
}

struct Mistakes;

impl Parcels for Mistakes {
    async fn parcels(&self, _call: &Call) -> Result<Json<Vec<u32>>, Problem> {
        Ok(Json(vec![]))
    }

    async fn parcel(&self, _call: &Call, id: Path<String>) -> Result<Json<u64>, Problem> {
        Ok(Json(id.0.len() as u64))
    }
}
