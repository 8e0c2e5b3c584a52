//! What a caller sees that knows nothing of Rust.

use axum::Router;
use axum::routing::get;
use samspill::extract::Json;
use samspill::{Call, Problem, test};
use serde_json::{Value, json};

use super::parcels::{Depot, ParcelsApi, server};
use crate::support::{connect, parts, say};

const SINCE: &str = "@1793491200";
const SUNSET: &str = "Sat, 01 May 2027 00:00:00 GMT";

/// An answer as it was on the wire.
#[derive(Debug)]
struct Seen {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    /// All values of a header.
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that is there once, or not at all.
    fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name}: {all:?}");
        all.first().copied()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    #[track_caller]
    fn is_problem(&self, status: u16) -> Value {
        let kind = self.header("content-type");
        assert_eq!((self.status, kind), (status, Some("application/problem+json")), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem
    }
}

/// `request` is the request line without the version of HTTP, and header lines.
async fn ask(server: &test::Server, request: &str, body: &str) -> Seen {
    let mut lines = request.lines();
    let first = lines.next().unwrap();
    let headers: String = lines.map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let text = format!(
        "{first} HTTP/1.1\r\nhost: test\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let answer = say(server.address(), text.as_bytes()).await;
    let (head, body) = parts(&answer);
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    Seen { status, headers: lines.map(header).collect(), body: body.to_owned() }
}

const QUOTE: &str = r#"{"to":"SE","grams":2500}"#;

fn post(path: &str) -> String {
    format!("POST {path}\ncontent-type: application/json")
}

#[tokio::test]
async fn the_version_is_in_the_path() {
    let server = server().await;
    let quote = ask(&server, &post("/v2/quotes"), QUOTE).await;
    assert_eq!((quote.status, &quote.json()["cents"]), (200, &json!(2500)));
    // One URL, one version: nothing else was looked at.
    assert_eq!((quote.header("vary"), quote.header("api-version")), (None, None));
    let price = ask(&server, "GET /v1/quote?to=SE&kilograms=3", "").await;
    assert_eq!((price.status, price.json()), (200, json!({ "price": "30.00" })));
    // What both have.
    for version in [1, 2] {
        let parcel = ask(&server, &format!("GET /v{version}/parcels/P-1"), "").await;
        assert_eq!((parcel.status, &parcel.json()["id"]), (200, &json!("P-1")));
        assert_eq!(ask(&server, &format!("GET /v{version}"), "").await.json(), json!({ "1": u64::MAX }));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_version_is_in_a_header() {
    let server = server().await;
    let quote = ask(&server, &format!("{}\napi-version: 2", post("/quotes")), QUOTE).await;
    assert_eq!((quote.status, &quote.json()["cents"]), (200, &json!(2500)));
    assert_eq!((quote.all("vary"), quote.header("api-version")), (vec!["api-version"], Some("2")));
    let price = ask(&server, "GET /quote?to=SE&kilograms=3\nAPI-Version:  1 ", "").await;
    assert_eq!((price.status, price.json()), (200, json!({ "price": "30.00" })));
    assert_eq!((price.all("vary"), price.header("api-version")), (vec!["api-version"], Some("1")));
    let sizes = ask(&server, "GET /\napi-version: 2", "").await;
    assert_eq!((sizes.status, sizes.header("api-version")), (200, Some("2")));
    // An error depends on it too.
    let refused = ask(&server, "GET /parcels/none\napi-version: 2", "").await;
    refused.is_problem(404);
    assert_eq!((refused.all("vary"), refused.header("api-version")), (vec!["api-version"], Some("2")));
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_version_says_which_there_are() {
    let server = server().await;
    let check = async |request: &str, status: u16, supported: Value| {
        let seen = ask(&server, request, "").await;
        let problem = seen.is_problem(status);
        assert_eq!(problem["supported"], supported, "{request}");
        let varies = if request.contains("api-version") || status == 400 { vec!["api-version"] } else { vec![] };
        assert_eq!((seen.all("vary"), seen.header("api-version")), (varies, None), "{request}");
        assert_eq!(seen.header("deprecation"), None);
        problem["type"].as_str().unwrap_or_default().to_owned()
    };
    let unsupported = "urn:samspill:unsupported-version";
    // In the path, in any spelling that is not the one.
    for version in ["v3", "v0", "v02", "v99999999999"] {
        assert_eq!(check(&format!("GET /{version}/parcels/P-1"), 404, json!([1, 2])).await, unsupported);
    }
    assert_eq!(check("GET /v3", 404, json!([1, 2])).await, unsupported);
    // It is there, in another version.
    assert_eq!(check("GET /v2/quote?to=SE&kilograms=1", 404, json!([1])).await, unsupported);
    assert_eq!(check("POST /v1/quotes", 404, json!([2])).await, unsupported);
    // In the header.
    for version in ["3", "0", "02", "+2", "two", "1, 2", "", "99999999999"] {
        let request = format!("GET /parcels/P-1\napi-version: {version}");
        assert_eq!(check(&request, 406, json!([1, 2])).await, unsupported);
    }
    assert_eq!(check("GET /quote\napi-version: 2", 406, json!([1])).await, unsupported);
    // Twice, or not at all.
    let twice = "GET /parcels/P-1\napi-version: 2\napi-version: 2";
    assert_eq!(check(twice, 400, json!([1, 2])).await, "");
    assert_eq!(check("GET /parcels/P-1", 400, json!([1, 2])).await, "urn:samspill:version-missing");
    assert_eq!(check("GET /", 400, json!([1, 2])).await, "urn:samspill:version-missing");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_in_the_contract_is_404_as_ever() {
    let server = server().await;
    for request in ["GET /nowhere", "GET /v2/nowhere", "GET /v3/nowhere", "GET /nowhere\napi-version: 2", "GET /v2x"] {
        let seen = ask(&server, request, "").await;
        let problem = seen.is_problem(404);
        assert_eq!((&problem["supported"], seen.header("vary")), (&Value::Null, None), "{request}");
    }
    ask(&server, "PATCH /v2/quotes", "").await.is_problem(405);
    ask(&server, "PATCH /quotes\napi-version: 2", "").await.is_problem(405);
    server.stop().await;
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let server = server().await;
    for request in ["HEAD /v2/parcels/P-1", "HEAD /parcels/P-1\napi-version: 2"] {
        let seen = ask(&server, request, "").await;
        assert_eq!((seen.status, seen.header("content-type")), (200, Some("application/json")), "{request}");
        assert_eq!((seen.header("content-length"), seen.body.as_str()), (Some("26"), ""), "{request}");
    }
    server.stop().await;
}

/// What a browser makes of a relative reference (RFC 3986 §5.2).
fn resolved(base: &str, reference: &str) -> String {
    let mut segments: Vec<&str> = base.split('?').next().unwrap().split('/').collect();
    segments.pop();
    for part in reference.split('/') {
        match part {
            ".." => {
                segments.pop();
            }
            part => segments.push(part),
        }
    }
    segments.join("/")
}

/// Where the links of an answer lead from there, by their relations.
fn links(seen: &Seen, base: &str) -> Vec<(String, String)> {
    let all = seen.all("link").join(", ");
    let link = |link: &str| {
        let (target, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        let relation = rest.split("rel=\"").nth(1).unwrap().split('"').next().unwrap();
        (relation.to_owned(), resolved(base, target))
    };
    all.split(", ").map(link).collect()
}

#[tokio::test]
async fn a_version_that_will_go_says_so_in_every_answer() {
    let server = server().await;
    let json = "content-type: application/json";
    let about = |version: u32| format!("/openapi/parcels/v{version}.html");
    // (what is asked, its path for the caller, its body, the status, where its successor is)
    for (request, path, body, status, successor) in [
        ("GET /v1/quote?to=SE&kilograms=3".to_owned(), "/v1/quote", "", 200, about(2)),
        ("GET /quote?to=SE&kilograms=3\napi-version: 1".to_owned(), "/quote", "", 200, about(2)),
        // The method's own error, a transparent one, an extractor's, a rule's, the framework's.
        ("GET /v1/quote?to=XX&kilograms=3".to_owned(), "/v1/quote", "", 422, about(2)),
        ("GET /v1/quote?to=!!&kilograms=3".to_owned(), "/v1/quote", "", 409, about(2)),
        ("GET /v1/quote?to=SE".to_owned(), "/v1/quote", "", 400, about(2)),
        ("GET /quote?to=SE&kilograms=99\napi-version: 1".to_owned(), "/quote", "", 422, about(2)),
        (format!("POST /v1/parcels\n{json}"), "/v1/parcels", "{", 400, "/v2/parcels".to_owned()),
        ("POST /v1/parcels".to_owned(), "/v1/parcels", "{}", 415, "/v2/parcels".to_owned()),
        (format!("POST /parcels\n{json}\napi-version: 1"), "/parcels", "{", 400, "/v2/parcels".to_owned()),
        ("GET /v1".to_owned(), "/v1", "", 200, "/v2".to_owned()),
        ("GET /\napi-version: 1".to_owned(), "/", "", 200, "/v2".to_owned()),
        // A path with parameters is a pattern.
        ("GET /v1/parcels/a%2Fb".to_owned(), "/v1/parcels/a%2Fb", "", 200, about(2)),
        ("GET /v1/depots/NO/Oslo".to_owned(), "/v1/depots/NO/Oslo", "", 200, about(2)),
        ("GET /v1/depots/Norway/Oslo".to_owned(), "/v1/depots/Norway/Oslo", "", 422, about(2)),
        ("GET /depots/NO/Oslo\napi-version: 1".to_owned(), "/depots/NO/Oslo", "", 200, about(2)),
        ("DELETE /v1/parcels/P-1".to_owned(), "/v1/parcels/P-1", "", 204, about(2)),
    ] {
        let seen = ask(&server, &request, body).await;
        assert_eq!(seen.status, status, "{request}: {seen:?}");
        assert_eq!((seen.header("deprecation"), seen.header("sunset")), (Some(SINCE), Some(SUNSET)), "{request}");
        // The same behind an edge that has taken a prefix away.
        for prefix in ["", "/api/shop"] {
            let expected = [("deprecation", about(1)), ("successor-version", successor.clone())]
                .map(|(relation, path)| (relation.to_owned(), format!("{prefix}{path}")));
            assert_eq!(links(&seen, &format!("{prefix}{path}")), expected, "{request}");
        }
    }
    for path in [about(1), about(2), "/v2".to_owned()] {
        assert_eq!(ask(&server, &format!("GET {path}"), "").await.status, 200, "{path}");
    }
    let link = ask(&server, "GET /v1/quote?to=SE&kilograms=3", "").await;
    assert_eq!(
        link.header("link"),
        Some(
            "<../openapi/parcels/v1.html>; rel=\"deprecation\"; type=\"text/html\", \
             <../openapi/parcels/v2.html>; rel=\"successor-version\""
        )
    );
    server.stop().await;
}

#[tokio::test]
async fn a_version_that_stays_says_nothing() {
    let server = server().await;
    for request in ["GET /v2/parcels/P-1", "GET /v2/parcels/none", "GET /parcels/P-1\napi-version: 2"] {
        let seen = ask(&server, request, "").await;
        let said = [seen.header("deprecation"), seen.header("sunset"), seen.header("link")];
        assert_eq!(said, [None; 3], "{request}");
    }
    server.stop().await;
}

#[tokio::test]
async fn http_2_takes_the_version_in_a_header_too() {
    let server = server().await;
    let stream = hyper_util::rt::TokioIo::new(connect(server.address()).await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    let driving = samspill_net::task::spawn("connection", connection);
    for (version, status) in [("1", 200), ("2", 406)] {
        let request = http::Request::get(server.url("/quote?to=SE&kilograms=3")).header("api-version", version);
        let answer = sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()).await;
        let (head, body) = answer.unwrap().into_parts();
        assert_eq!((head.status.as_u16(), &head.headers["vary"]), (status, &"api-version".parse().unwrap()));
        assert_eq!(head.headers.contains_key("deprecation"), version == "1");
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (price, supported) = (&body["price"], &body["supported"]);
        assert_eq!((price == "30.00", *supported == json!([1])), (version == "1", version == "2"), "{body}");
    }
    drop(sender);
    driving.await.unwrap().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_error_is_a_problem_with_its_members() {
    let server = server().await;
    let problem = ask(&server, &post("/v2/quotes"), r#"{"to":"XX","grams":1}"#).await.is_problem(422);
    assert_eq!(
        problem,
        json!({
            "type": "urn:samspill:problem:unknown-destination",
            "title": "Destination is not served",
            "status": 422,
            "errors": [{ "field": "to", "detail": "XX is too far away" }],
            "country": "XX",
            "nearest": "SE",
        })
    );
    let busy = ask(&server, &post("/v2/quotes"), r#"{"to":"ZZ","grams":1}"#).await;
    busy.is_problem(503);
    assert_eq!(busy.header("retry-after"), Some("2"));
    let missing = ask(&server, "GET /v2/parcels/none", "").await.is_problem(404);
    assert_eq!((&missing["type"], &missing["id"]), (&json!("https://parcels.example/no-such-parcel"), &json!("none")));
    // Each rule that is broken, under the name that the caller wrote.
    let body = r#"{"to":"SEK","grams":0,"type":"much too long"}"#;
    let wrong = ask(&server, &post("/v2/quotes"), body).await.is_problem(422);
    let fields: Vec<&str> =
        wrong["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["grams", "type", "to"], "{wrong}");
    let wrong = ask(&server, "GET /v2/parcels?limit=101", "").await.is_problem(422);
    assert_eq!(wrong["errors"][0]["field"], "limit", "{wrong}");
    let wrong = ask(&server, "GET /v2/parcels?cursor=nonsense", "").await.is_problem(400);
    assert_eq!(
        wrong["errors"],
        json!([{ "field": "cursor", "detail": "is not the `next` of an earlier page" }]),
        "{wrong}"
    );
    server.stop().await;
}

#[tokio::test]
async fn errors_as_they_are_on_the_wire() {
    let server = server().await;
    let form = "POST /v2/payments\ncontent-type: application/x-www-form-urlencoded";
    let mut text = String::new();
    for (request, body) in [
        (post("/v2/quotes"), r#"{"to":"XX","grams":1}"#),
        (post("/v2/quotes"), r#"{"to":"ZZ","grams":1}"#),
        (post("/v2/quotes"), r#"{"to":"SEK","grams":0}"#),
        (post("/v2/quotes"), r#"{"to":"SE","kilograms":1}"#),
        (post("/v2/quotes"), r#"{"to":"SE","grams":}"#),
        ("POST /v2/quotes".to_owned(), "{}"),
        (form.to_owned(), "parcel=P-1&cents=7"),
        ("GET /v2/parcels/none".to_owned(), ""),
        ("GET /v2/parcels/P-1/events/last".to_owned(), ""),
        ("GET /v1/quote?to=SE&kilograms=many".to_owned(), ""),
        ("GET /v3/parcels/P-1".to_owned(), ""),
        ("GET /parcels/P-1\napi-version: 3".to_owned(), ""),
        ("GET /parcels/P-1".to_owned(), ""),
        ("PATCH /v2/quotes".to_owned(), ""),
        ("GET /v2/nowhere".to_owned(), ""),
    ] {
        let seen = ask(&server, &request, body).await;
        text.push_str(&format!("> {}\n", request.replace('\n', "\n> ")));
        if !body.is_empty() {
            text.push_str(&format!("> {body}\n"));
        }
        text.push_str(&format!("{}\n", seen.status));
        for (name, value) in seen.headers.iter().filter(|(name, _)| !["date", "connection"].contains(&name.as_str())) {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str(&format!("{}\n\n", seen.body));
    }
    insta::assert_snapshot!("errors", text);
    server.stop().await;
}

#[tokio::test]
async fn axums_own_extractors_refuse_with_problems_too() {
    #[samspill::api(name = "plain", versions = 1..=1)]
    trait Plain {
        #[post("/numbers/{number}")]
        async fn add(
            &self,
            call: &Call,
            number: axum::extract::Path<u8>,
            body: axum::Json<u8>,
        ) -> Result<axum::Json<u16>, Problem>;
    }
    struct Adder;
    impl Plain for Adder {
        async fn add(
            &self,
            _call: &Call,
            axum::extract::Path(number): axum::extract::Path<u8>,
            axum::Json(body): axum::Json<u8>,
        ) -> Result<axum::Json<u16>, Problem> {
            Ok(axum::Json(u16::from(number) + u16::from(body)))
        }
    }
    let server = test::Server::start(test::service("plain", []), PlainApi::router(Adder)).await;
    let client = PlainClient::from(server.client());
    assert_eq!(client.add(&test::call(), 200, 100).await.unwrap(), 300);
    ask(&server, &post("/v1/numbers/1"), "x").await.is_problem(400);
    ask(&server, &post("/v1/numbers/1"), "256").await.is_problem(422);
    ask(&server, &post("/v1/numbers/256"), "1").await.is_problem(400);
    ask(&server, "POST /v1/numbers/1", "1").await.is_problem(415);
    server.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_is_there_once_and_printable() {
    let server = server().await;
    let form = "POST /v2/payments\ncontent-type: application/x-www-form-urlencoded";
    let body = "parcel=P-1&cents=7";
    let long = "a".repeat(201);
    for key in ["", "\nidempotency-key: a b", "\nidempotency-key:", "\nidempotency-key: a\nidempotency-key: a"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("\nidempotency-key: {long}")])
    {
        let problem = ask(&server, &format!("{form}{key}"), body).await.is_problem(400);
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key", "{key}: {problem}");
    }
    let paid = ask(&server, &format!("{form}\nidempotency-key: {}", &long[..200]), body).await;
    assert_eq!((paid.status, paid.body.as_str()), (202, ""));
    assert_eq!(paid.header("x-paid").map(str::len), Some(200 + " P-1 7".len()));
    server.stop().await;
}

/// What it stands beside.
#[samspill::api(name = "statistics", versions = 1..=3)]
trait Statistics {
    #[get("/counts")]
    async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;

    /// A path that another contract has with a parameter, in other versions.
    #[get("/parcels/new", since = 3)]
    async fn new_parcels(&self, call: &Call) -> Result<Json<u64>, Problem>;
}

impl Statistics for Depot {
    async fn counts(&self, _call: &Call) -> Result<Json<Vec<u64>>, Problem> {
        Ok(Json(vec![12]))
    }

    async fn new_parcels(&self, _call: &Call) -> Result<Json<u64>, Problem> {
        Ok(Json(3))
    }
}

#[tokio::test]
async fn ordinary_routes_stand_beside_a_contract() {
    let router = ParcelsApi::router(Depot)
        .route("/", get(async || "a page for people"))
        .merge(Router::new().route("/v3/parcels", get(async || "an ordinary route")));
    let server = test::Server::start(test::service("parcels", []), router).await;
    // The contract has the same path without its version; who names one means the contract.
    assert_eq!(ask(&server, "GET /", "").await.body, "a page for people");
    assert_eq!(ask(&server, "GET /\napi-version: 2", "").await.json(), json!({ "1": u64::MAX }));
    assert_eq!(ask(&server, "GET /v3/parcels", "").await.body, "an ordinary route");
    ask(&server, "GET /v4/parcels", "").await.is_problem(404);
    ask(&server, "GET /parcels", "").await.is_problem(400);
    assert_eq!(ask(&server, "GET /v2/parcels", "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn two_contracts_share_a_service() {
    let router = ParcelsApi::router(Depot).merge(StatisticsApi::router(Depot));
    let server = test::Server::start(test::service("both", []), router).await;
    assert_eq!(ask(&server, "GET /v3/counts", "").await.json(), json!([12]));
    assert_eq!(ask(&server, "GET /v2/parcels/P-1", "").await.status, 200);
    // Each path has its own versions.
    let supported = async |request| ask(&server, request, "").await.json()["supported"].clone();
    assert_eq!(supported("GET /v4/counts").await, json!([1, 2, 3]));
    assert_eq!(supported("GET /v3/parcels/P-1").await, json!([1, 2]));
    assert_eq!(supported("GET /v4/parcels/new").await, json!([1, 2, 3]));
    assert_eq!(ask(&server, "GET /v3/parcels/new", "").await.json(), json!(3));
    assert_eq!(ask(&server, "GET /v2/parcels/new", "").await.json()["id"], "new");
    // Each contract has its own documents, and none is the only one.
    for (name, versions) in [("parcels", 1..=2), ("statistics", 1..=3)] {
        for version in versions {
            let document = ask(&server, &format!("GET /openapi/{name}/v{version}.json"), "").await.json();
            assert_eq!((&document["info"]["title"], &document["openapi"]), (&json!(name), &json!("3.0.3")));
            let servers = json!([{ "url": "../.." }]);
            assert_eq!(
                (&document["servers"], &document["info"]["version"]),
                (&servers, &json!(format!("{version}.0.0")))
            );
            assert_eq!(ask(&server, &format!("GET /openapi/{name}/v{version}.html"), "").await.status, 200);
        }
    }
    ask(&server, "GET /openapi/v1.json", "").await.is_problem(404);
    let link = ask(&server, "GET /v1/parcels/P-1", "").await;
    assert_eq!(links(&link, "/v1/parcels/P-1")[0].1, "/openapi/parcels/v1.html");
    server.stop().await;
}

#[tokio::test]
async fn layers_wrap_the_documents_too() {
    let marks = axum::middleware::map_response(async |mut response: axum::response::Response| {
        response.headers_mut().insert("x-marked", "yes".parse().unwrap());
        response
    });
    let router = ParcelsApi::router(Depot).layer(marks);
    let server = test::Server::start(test::service("parcels", []), router).await;
    for path in ["/v2/parcels", "/openapi/v2.json", "/openapi/parcels/v2.json", "/nowhere"] {
        assert_eq!(ask(&server, &format!("GET {path}"), "").await.header("x-marked"), Some("yes"), "{path}");
    }
    server.stop().await;
}
