//! The layer and the store, without a server: what is kept, what is freed, and when.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use super::*;

/// A memory store that says when a key was released.
struct Told {
    store: MemoryStore,
    released: mpsc::UnboundedSender<()>,
}

impl AnswerStore for Told {
    type Error = Full;

    async fn claim(&self, attempt: &Attempt, lease: Duration) -> Result<Claim, Full> {
        self.store.claim(attempt, lease).await
    }

    async fn renew(&self, attempt: &Attempt, lease: Duration) -> Result<(), Full> {
        self.store.renew(attempt, lease).await
    }

    async fn keep(&self, attempt: &Attempt, answer: &StoredAnswer) -> Result<(), Full> {
        self.store.keep(attempt, answer).await
    }

    async fn release(&self, attempt: &Attempt) -> Result<(), Full> {
        self.store.release(attempt).await?;
        self.released.send(()).unwrap();
        Ok(())
    }
}

fn told() -> (Told, mpsc::UnboundedReceiver<()>) {
    let (released, is_released) = mpsc::unbounded_channel();
    (Told { store: MemoryStore::new(), released }, is_released)
}

fn request(key: &str, body: &str) -> Request {
    http::Request::post("/").header(KEY, key).body(Body::from(body.to_owned())).unwrap()
}

/// Status, whether it is a replay, and body.
async fn ask(router: &Router, request: Request) -> (u16, bool, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, replayed) = (response.status().as_u16(), response.headers().contains_key(REPLAYED));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, replayed, String::from_utf8(body.to_vec()).unwrap())
}

/// Answers with what `answer` makes of the number of runs so far.
fn counting<A: IntoResponse + 'static>(
    store: impl AnswerStore,
    answer: impl Fn(usize) -> A + Clone + Send + Sync + 'static,
) -> Router {
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = move || {
        let answer = answer(runs.fetch_add(1, Ordering::Relaxed)).into_response();
        async move { answer }
    };
    Router::new().route("/", post(handler)).layer(Idempotency::new(store))
}

#[tokio::test]
async fn an_answer_that_asks_for_another_try_is_not_kept() {
    for status in [500, 503, 408, 425, 429] {
        let status = StatusCode::from_u16(status).unwrap();
        let router = counting(MemoryStore::new(), move |run| if run == 0 { status } else { StatusCode::CREATED });
        assert_eq!(ask(&router, request("k", "")).await.0, status);
        assert_eq!(ask(&router, request("k", "")).await, (201, false, String::new()), "{status}");
        assert_eq!(ask(&router, request("k", "")).await, (201, true, String::new()), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_is_kept() {
    let router = counting(MemoryStore::new(), |run| (StatusCode::NOT_FOUND, run.to_string()));
    assert_eq!(ask(&router, request("k", "")).await, (404, false, "0".to_owned()));
    assert_eq!(ask(&router, request("k", "")).await, (404, true, "0".to_owned()));
}

#[tokio::test]
async fn query_and_body_are_compared() {
    let router = counting(MemoryStore::new(), |run| run.to_string());
    assert_eq!(ask(&router, request("k", "a")).await.0, 200);
    assert_eq!(ask(&router, request("k", "b")).await.0, 422);
    let mut other = request("k", "a");
    *other.uri_mut() = "/?a".parse().unwrap();
    assert_eq!(ask(&router, other).await.0, 422);
}

#[tokio::test]
async fn a_key_belongs_to_its_path_and_method() {
    let route = || post(async || "posted").patch(async || "patched");
    let layer = Idempotency::new(MemoryStore::new());
    let nested = Router::new().route("/x", route());
    let router = Router::new().nest("/a", nested.clone()).nest("/b", nested).layer(layer.clone());
    for (method, path) in [("POST", "/a/x"), ("PATCH", "/a/x"), ("POST", "/b/x")] {
        let ask_here = || async {
            let request = http::Request::builder().method(method).uri(path).header(KEY, "k").body(Body::empty());
            ask(&router, request.unwrap()).await
        };
        assert!(!ask_here().await.1, "{method} {path}");
        assert!(ask_here().await.1, "{method} {path}");
    }
    // A layer inside of a nested router sees the whole path, too.
    let inner = Router::new().route("/x", route()).layer(layer);
    let router = Router::new().nest("/c", inner.clone()).nest("/d", inner);
    for path in ["/c/x", "/d/x"] {
        let request = http::Request::post(path).header(KEY, "k").body(Body::empty()).unwrap();
        assert!(!ask(&router, request).await.1, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_run_keeps_its_key_and_a_dead_one_does_not() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (says, waits) = (Arc::clone(&begun), Arc::clone(&go));
    let handler = async move || {
        says.notify_one();
        waits.notified().await;
        "done"
    };
    let store = Arc::new(MemoryStore::new());
    let router = Router::new().route("/", post(handler)).layer(Idempotency::new(Arc::clone(&store)));
    let first = task::spawn("first", {
        let router = router.clone();
        async move { ask(&router, request("k", "")).await }
    });
    begun.notified().await;
    tokio::time::sleep(LEASE * 10).await; // on the paused clock
    let (status, _, problem) = ask(&router, request("k", "")).await;
    assert!(status == 409 && problem.contains("still running"), "{problem}");
    assert_eq!(ask(&router, request("k", "other")).await.0, 422);
    go.notify_one();
    assert_eq!(first.await.unwrap(), (200, false, "done".to_owned()));
    assert_eq!(ask(&router, request("k", "")).await, (200, true, "done".to_owned()));

    // A claim that nobody renews, as that of a process that died, ends.
    let dead = Attempt::new(["", "", "POST", "/", "dead"], "", b"");
    assert_eq!(store.claim(&dead, LEASE).await, Ok(Claim::Granted));
    assert_eq!(ask(&router, request("dead", "")).await.0, 409);
    tokio::time::sleep(LEASE).await;
    go.notify_one();
    assert_eq!(ask(&router, request("dead", "")).await, (200, false, "done".to_owned()));
    // What the dead one says late is not heard.
    store.keep(&dead, &not_kept()).await.unwrap();
    store.release(&dead).await.unwrap();
    assert_eq!(ask(&router, request("dead", "")).await, (200, true, "done".to_owned()));
}

#[tokio::test]
async fn a_run_that_is_cut_frees_its_key() {
    let (store, mut released) = told();
    let runs = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(Notify::new());
    let says = Arc::clone(&begun);
    let handler = async move || match runs.fetch_add(1, Ordering::Relaxed) {
        0 => {
            says.notify_one();
            std::future::pending().await
        }
        1 => panic!("on purpose"),
        _ => "done",
    };
    let router = Router::new().route("/", post(handler)).layer(Idempotency::new(store));

    // The caller goes away.
    tokio::select! {
        answer = ask(&router, request("k", "")) => panic!("{answer:?}"),
        () = begun.notified() => {}
    }
    released.recv().await.unwrap();
    // The handler panics.
    let panicking = router.clone();
    let panicked = task::spawn("panicking", async move { ask(&panicking, request("k", "")).await }).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));
    released.recv().await.unwrap();
    assert_eq!(ask(&router, request("k", "")).await, (200, false, "done".to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_once() {
    let router = counting(MemoryStore::new(), |_| vec![b'x'; ANSWER_LIMIT_BYTES + 1]);
    let (status, replayed, body) = ask(&router, request("k", "")).await;
    assert_eq!((status, replayed, body.len()), (200, false, ANSWER_LIMIT_BYTES + 1));
    let (status, replayed, body) = ask(&router, request("k", "")).await;
    assert!(status == 409 && replayed && body.contains("was carried out"), "{body}");
}

#[tokio::test]
async fn an_answer_that_breaks_frees_the_key() {
    let broken = |run: usize| {
        let chunks = [Ok("a"), if run == 0 { Err(std::io::Error::other("broken")) } else { Ok("b") }];
        Body::from_stream(stream::iter(chunks))
    };
    let router = counting(MemoryStore::new(), broken);
    let response = router.clone().oneshot(request("k", "")).await.unwrap();
    assert!(axum::body::to_bytes(response.into_body(), usize::MAX).await.is_err());
    assert_eq!(ask(&router, request("k", "")).await, (200, false, "ab".to_owned()));
    assert_eq!(ask(&router, request("k", "")).await, (200, true, "ab".to_owned()));
}

#[tokio::test]
async fn without_its_store_nothing_runs() {
    let router = counting(MemoryStore::new().max_entries(0), |run| run.to_string());
    assert_eq!(ask(&router, request("k", "")).await.0, 503);
    // Without a key there is nothing to ask.
    let request = http::Request::post("/").body(Body::empty()).unwrap();
    assert_eq!(ask(&router, request).await, (200, false, "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_in_number_size_and_time() {
    let small = || MemoryStore::new().ttl(Duration::from_secs(100));
    let answers = |store| counting(store, |run| run.to_string() + &"x".repeat(10_000));
    for store in [small().max_entries(2), small().max_bytes(25_000)] {
        let router = answers(store);
        for key in ["a", "b", "c"] {
            assert!(!ask(&router, request(key, "")).await.1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(ask(&router, request("b", "")).await.1);
        assert!(ask(&router, request("c", "")).await.1);
        assert!(!ask(&router, request("a", "")).await.1, "the oldest is forgotten");
    }
    let router = answers(small());
    assert!(!ask(&router, request("a", "")).await.1);
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(ask(&router, request("a", "")).await.1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ask(&router, request("a", "")).await.1);
}

#[test]
fn what_is_kept_survives_as_bytes() {
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::LOCATION, "/v1/bookings/7"),
        (header::SET_COOKIE, "a=1"),
        (header::DATE, "now"),
        (header::LINK, "</a>; rel=\"next\""),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
    let answer = StoredAnswer::new(StatusCode::CREATED, &headers, Bytes::from_static(b"\xff\nbody\n"));
    assert_eq!(StoredAnswer::from_bytes(&answer.to_bytes()).unwrap(), answer);
    let (status, headers, body) = answer.into_parts();
    assert_eq!((status, body.as_ref()), (StatusCode::CREATED, &b"\xff\nbody\n"[..]));
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "link", "location"]);
    for malformed in ["", "{}\n", r#"{"status":1,"headers":[]}"#, "{\"status\":9,\"headers\":[]}\n"] {
        assert!(StoredAnswer::from_bytes(malformed.as_bytes()).is_err(), "{malformed}");
    }
}
