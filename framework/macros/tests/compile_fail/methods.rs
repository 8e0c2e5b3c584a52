//! What a method looks like.

extern crate samspill_macros as samspill;

#[samspill::api(name = "parcels", versions = 1..=2)]
trait Parcels {
    async fn no_verb(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/two-verbs")]
    #[post("/two-verbs")]
    async fn two_verbs(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get]
    async fn no_path(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/bad-key", form = 2)]
    async fn bad_key(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("no-slash")]
    async fn no_slash(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/v2/version")]
    async fn version(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/trailing/")]
    async fn trailing(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/bad/:id")]
    async fn bad_parameter(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/bad/{Id}/{a}/{a}")]
    async fn bad_names(&self, call: &Call, path: Path<(u8, u8, u8)>) -> Result<Json<u8>, Problem>;

    #[get("/what?is=this")]
    async fn query_in_path(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/no-self")]
    async fn no_self(call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/mutable-self")]
    async fn mutable_self(&mut self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/not-async")]
    fn not_async(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/no-call")]
    async fn no_call(&self) -> Result<Json<u8>, Problem>;

    #[get("/call-by-value")]
    async fn call_by_value(&self, call: Call) -> Result<Json<u8>, Problem>;

    #[get("/no-result")]
    async fn no_result(&self, call: &Call) -> Json<u8>;

    #[get("/nothing")]
    async fn nothing(&self, call: &Call);

    #[get("/one-type")]
    async fn one_type(&self, call: &Call) -> Result<Json<u8>>;

    #[get("/generic")]
    async fn generic<T>(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/default")]
    async fn default(&self, call: &Call) -> Result<Json<u8>, Problem> {
        Ok(Json(1))
    }

    #[get("/sometimes")]
    #[cfg(unix)]
    async fn sometimes(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/pattern")]
    async fn pattern(&self, call: &Call, Query(ask): Query<u8>) -> Result<Json<u8>, Problem>;

    #[get("/called-call")]
    async fn called_call(&self, _call: &Call, call: Query<u8>) -> Result<Json<u8>, Problem>;
}

#[samspill::api(name = "parcels", versions = 2..=3)]
trait Versions {
    #[get("/never", since = 3, until = 2)]
    async fn never(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/future", since = 4)]
    async fn future(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/past", until = 1)]
    async fn past(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/same")]
    async fn first(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/same", since = 3)]
    async fn second(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/named/{id}")]
    async fn named(&self, call: &Call, id: Path<u8>) -> Result<Json<u8>, Problem>;

    #[delete("/named/{number}")]
    async fn other_name(&self, call: &Call, number: Path<u8>) -> Result<Json<u8>, Problem>;
}

#[samspill::api(name = "parcels", versions = 1..=1)]
trait Arguments {
    #[get("/body-on-get")]
    async fn body_on_get(&self, call: &Call, body: Valid<Json<u8>>) -> Result<Json<u8>, Problem>;

    #[post("/two-bodies")]
    async fn two_bodies(&self, call: &Call, one: Json<u8>, two: Form<u8>) -> Result<Json<u8>, Problem>;

    #[post("/body-first")]
    async fn body_first(&self, call: &Call, image: Bytes, key: IdempotencyKey) -> Result<Json<u8>, Problem>;

    #[get("/parameter/{id}")]
    async fn nobody_takes_it(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/no-parameter")]
    async fn takes_nothing(&self, call: &Call, id: Path<u8>) -> Result<Json<u8>, Problem>;

    #[get("/twice/{a}/{b}")]
    async fn twice(&self, call: &Call, a: Path<u8>, b: Path<u8>) -> Result<Json<u8>, Problem>;

    #[get("/since-twice", since = 1, since = 2)]
    async fn since_twice(&self, call: &Call) -> Result<Json<u8>, Problem>;

    #[get("/fewer/{a}/{b}")]
    async fn fewer(&self, call: &Call, path: Path<(u8,)>) -> Result<Json<u8>, Problem>;
}

fn main() {}
