//! Statistics exists twice, in Rust and in Python: both keep one contract, and one takes the other's place under load.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::{Request, StatusCode};
use samspill_testkit::wait_until;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::load::Load;
use crate::mesh::Mesh;
use crate::{ledger, web};

mod events;
mod program;

use events::Events;
use program::{Language, Program};

/// Confirmed bookings, and answers of statistics, before and after each change.
const SOME: u32 = 10;

/// Only ends what hangs.
const HANGS: Duration = Duration::from_secs(30);

#[tokio::test]
async fn one_implementation_takes_the_others_place_under_load_and_no_caller_notices() {
    let mesh = Mesh::craterate().await;
    assert!(mesh.screen().contains("\nstatistics-python  "), "{}", mesh.screen());
    let load = Load::begin(mesh.edge);
    let events = Events::begin(mesh.edge);
    let (rust, python) = ("statistics.craterate", "statistics-python.craterate");
    for (scale, replicas, expected) in [
        ("statistics", 2, &[rust][..]),
        ("statistics-python", 2, &[python, rust]),
        ("statistics", 0, &[python]),
        ("statistics", 2, &[python, rust]),
        ("statistics-python", 0, &[rust]),
    ] {
        mesh.said(&["scale", scale, "--replicas", &replicas.to_string()]);
        let is_reached = async || {
            let instances = mesh.instances(scale).await;
            instances.len() == replicas && instances.iter().all(|instance| instance.ready)
        };
        wait_until("the wanted replicas run", is_reached).await;
        load.progress(SOME).await;
        events.begin_phase();
        wait_until("all of them answer", async || events.answered_by().len() == expected.len()).await;
        events.progress(SOME).await;
        assert_eq!(events.answered_by().iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
    let bookings = load.end().await;
    let events = events.end().await;
    assert!(bookings.failures.is_empty(), "{:#?}", bookings.failures);
    assert!(events.failures.is_empty(), "{:#?}", events.failures);
    ledger::check(&mesh, &bookings.ids).await;

    // A booking waits for statistics for one second only; on a busy machine that may be too short, which loses nothing else.
    let log = mesh.said(&["logs", "parcel-booking"]);
    assert!(!log.contains("statistics did not count"), "{log}");
    let late = log.matches("statistics did not answer in time").count();
    let accepted = events.accepted + bookings.ids.len();
    let counted = mesh.get("/api/statistics/v1/counts").await.json()["order-attempt"].as_u64().unwrap();
    let counted = usize::try_from(counted).unwrap();
    assert!((accepted - late..=accepted).contains(&counted), "{counted} of {accepted} were counted, {late} were late");
}

#[tokio::test]
async fn both_keep_the_contract() {
    for language in Language::BOTH {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(language, folder.path()).await;
        statistics_api::conformance(&program.url()).await.assert_kept();
        assert_eq!(program.end().await, Some(0), "{language:?}");
    }
}

/// What programs compare of a refusal; the words are each implementation's own.
fn essence(reply: &web::Reply) -> Value {
    let problem = reply.json();
    let fields = problem["errors"].as_array().into_iter().flatten().map(|error| error["field"].clone());
    json!({
        "status": reply.status.as_u16(),
        "said": problem["status"],
        "type": problem.get("type").cloned().unwrap_or(json!("about:blank")),
        "supported": problem["supported"],
        // Where the JSON itself is broken, a parser may name a place.
        "fields": fields.filter(|_| reply.status == StatusCode::UNPROCESSABLE_ENTITY).collect::<Vec<_>>(),
        "media type": reply.header("content-type"),
        "allow": reply.header("allow"),
        "vary": reply.header("vary"),
    })
}

#[tokio::test]
async fn both_refuse_alike() {
    let folder = tempfile::tempdir().unwrap();
    let rust = Program::start(Language::Rust, folder.path()).await;
    let python = Program::start(Language::Python, folder.path()).await;
    let deep = format!("{{\"type\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let bodies = [
        "",
        "{",
        "null",
        "NaN",
        "{}",
        r#"{"type":"page-view"}"#,
        &deep,
        &long,
        r#"{"type":"order-attempt","by":"me"}"#,
        r#"{"type":"order-attempt","type":"order-attempt"}"#,
        r#"{"type":"order-attempt"} and more"#,
        r#"{"type":NaN}"#,
        "\u{feff}{}",
    ];
    let event = |path: &str| Request::post(path.to_owned()).header("content-type", "application/json");
    let mut requests: Vec<Request<String>> =
        bodies.map(|body| event("/v1/events").body(body.to_owned()).unwrap()).into();
    for (method, path, header, value) in [
        ("POST", "/v1/events", "accept", "*/*"),
        ("POST", "/v1/events", "content-type", "text/plain"),
        ("GET", "/v1/events", "accept", "*/*"),
        ("PUT", "/v1/counts", "accept", "*/*"),
        ("TRACE", "/v1/counts", "accept", "*/*"),
        ("PUT", "/counts", "api-version", "1"),
        ("GET", "/counts", "accept", "*/*"),
        ("GET", "/counts", "api-version", "2"),
        ("GET", "/counts", "api-version", "one"),
        ("GET", "/v2/counts", "accept", "*/*"),
        ("GET", "/v0/counts", "accept", "*/*"),
        ("GET", "/v01/counts", "accept", "*/*"),
        ("GET", "/v1", "accept", "*/*"),
        ("GET", "/v1/count", "accept", "*/*"),
        ("GET", "/", "accept", "*/*"),
    ] {
        let request = Request::builder().method(method).uri(path).header(header, value);
        requests.push(request.body("{}".to_owned()).unwrap());
    }
    for request in requests {
        let what = format!("{} {} {:?} {:.40}", request.method(), request.uri(), request.headers(), request.body());
        let by_rust = web::send(rust.address, request.clone()).await.unwrap();
        let by_python = web::send(python.address, request).await.unwrap();
        assert!(by_rust.status.is_client_error(), "{what}: {by_rust:?}");
        assert_eq!(essence(&by_python), essence(&by_rust), "{what}\nPython: {by_python:?}\nRust: {by_rust:?}");
    }
    for program in [rust, python] {
        let counts = web::get(program.address, "/v1/counts").await.unwrap();
        assert_eq!(counts.json(), json!({"order-attempt": 0}));
        assert_eq!(program.end().await, Some(0));
    }
}

#[tokio::test]
async fn both_tell_to_try_again_when_the_database_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let rust = Program::start(Language::Rust, folder.path()).await;
    let python = Program::start(Language::Python, folder.path()).await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("statistics.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let lock = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let event = json!({"type": "order-attempt"});
    let (by_rust, by_python) =
        tokio::join!(web::post(rust.address, "/v1/events", &event), web::post(python.address, "/v1/events", &event));
    let (by_rust, by_python) = (by_rust.unwrap(), by_python.unwrap());
    assert_eq!(by_rust.status, StatusCode::SERVICE_UNAVAILABLE, "{by_rust:?}");
    assert_eq!(essence(&by_python), essence(&by_rust), "{by_python:?}");
    drop(lock);
    for program in [rust, python] {
        let reply = web::post(program.address, "/v1/events", &event).await.unwrap();
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    }
}

#[tokio::test]
async fn copies_of_both_that_start_at_once_count_together() {
    let folder = tempfile::tempdir().unwrap();
    let start = |language| Program::start(language, folder.path());
    let (a, b, c, d) =
        tokio::join!(start(Language::Rust), start(Language::Python), start(Language::Python), start(Language::Rust));
    let programs = [a, b, c, d];
    let event = json!({"type": "order-attempt"});
    let posts = programs.iter().cycle().take(80).map(|program| web::post(program.address, "/v1/events", &event));
    for reply in futures_util::future::join_all(posts).await {
        let reply = reply.unwrap();
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    }
    let mut names = BTreeSet::new();
    for program in &programs {
        let counts = web::get(program.address, "/v1/counts").await.unwrap();
        assert_eq!(counts.json(), json!({"order-attempt": 80}));
        names.insert(counts.header("x-craterate-instance").to_owned());
    }
    assert_eq!(names, BTreeSet::from(["Python".to_owned(), "Rust".to_owned()]));
}

#[tokio::test]
async fn the_one_in_python_finishes_what_is_begun_and_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(Language::Python, folder.path()).await;
    let connect = || {
        let stream = TcpStream::connect(program.address).unwrap();
        stream.set_read_timeout(Some(HANGS)).unwrap();
        stream
    };
    let mut idle = connect();
    let mut slow: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
    for stream in &mut slow {
        let head = "POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                    transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"8\r\n{\"type\":\r\n").unwrap();
    }
    let counts = web::get(program.address, "/v1/counts").await.unwrap();
    assert_eq!(counts.json(), json!({"order-attempt": 0}), "while twenty dawdle");

    program.ask_to_end();
    let mut nothing = String::new();
    idle.read_to_string(&mut nothing).unwrap();
    assert_eq!(nothing, "", "an idle connection is closed");
    wait_until("it takes no more connections", async || TcpStream::connect(program.address).is_err()).await;
    for stream in &mut slow {
        stream.write_all(b"10\r\n\"order-attempt\"}\r\n0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202 ") && answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(program.ended().await, Some(0));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "the database is closed: no -wal and no -shm beside it");
}
