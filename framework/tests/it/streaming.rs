//! Bodies that are read and written piece by piece, events, and limits.

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use samspill::events::{Event, Events, LastEventId};
use samspill::{Call, CallError, test};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::support::{GENEROUS, connect, rest};

const MEBIBYTE: usize = 1024 * 1024;

/// A stream and what is sent into it.
fn channel<T>() -> (mpsc::UnboundedSender<T>, impl Stream<Item = T>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (sender, stream::poll_fn(move |context| receiver.poll_recv(context)))
}

#[tokio::test]
async fn a_body_is_limited_unless_its_route_says_otherwise() {
    let length = async |body: Bytes| body.len().to_string();
    let router = Router::new()
        .route("/default", post(length))
        .route("/raised", post(length).layer(DefaultBodyLimit::max(4 * MEBIBYTE)))
        .route("/lowered", post(length).layer(DefaultBodyLimit::max(16)))
        .route("/streamed", post(async |body: Body| body.into_data_stream().count().await.to_string()));
    let server = test::Server::start(test::service("test", []), router).await;
    for (path, size, fits) in [
        ("/default", 2 * MEBIBYTE, true),
        ("/default", 2 * MEBIBYTE + 1, false),
        ("/raised", 4 * MEBIBYTE, true),
        ("/raised", 4 * MEBIBYTE + 1, false),
        ("/lowered", 16, true),
        ("/lowered", 17, false),
        ("/streamed", 5 * MEBIBYTE, true),
    ] {
        let answer = server.client().post(&test::call(), path).body(vec![b'x'; size]).send().await;
        let status = answer.as_ref().map_or_else(|error| error.status(), |answer| Some(answer.status()));
        let expected = if fits { StatusCode::OK } else { StatusCode::PAYLOAD_TOO_LARGE };
        assert_eq!(status, Some(expected), "{path} with {size} bytes: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_is_read_while_it_is_sent() {
    let echo = async |body: Body| Body::from_stream(body.into_data_stream());
    let server = test::Server::start(test::service("test", []), Router::new().route("/", post(echo))).await;
    let mut stream = connect(server.address()).await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"1\r\na\r\n") {
        let byte = tokio::time::timeout(GENEROUS, stream.read_u8()).await.unwrap().unwrap();
        answer.push(byte);
    }
    stream
        .write_all(b"2\r\nbc\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("2\r\nbc\r\n0\r\n\r\nHTTP/1.1 200 OK"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_is_read_while_it_is_sent() {
    let (sender, chunks) = channel::<Result<Bytes, std::io::Error>>();
    let body = std::sync::Mutex::new(Some(Body::from_stream(chunks)));
    let body = std::sync::Arc::new(body);
    let router = Router::new().route("/", get(async move || body.lock().unwrap().take().unwrap()));
    let server = test::Server::start(test::service("test", []), router).await;
    let mut chunks = server.client().get(&test::call(), "/").send().await.unwrap().chunks();
    for text in ["one", "two"] {
        sender.send(Ok(Bytes::from(text))).unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), text);
    }
    sender.send(Err(std::io::Error::other("broken"))).unwrap();
    let broken = chunks.next().await.unwrap();
    assert!(matches!(broken, Err(CallError::Broken { .. })), "{broken:?}");
    assert!(chunks.next().await.is_none());
    server.stop().await;
}

/// Three events, and then silence.
async fn three(call: Call, LastEventId(seen): LastEventId<u32>) -> Events<String> {
    let numbers = seen.map_or(0, |seen| seen + 1)..3;
    let events = stream::iter(numbers).map(|number| Event::new(format!("event {number}")).with_id(number));
    Events::new(&call, events.chain(stream::pending()))
}

#[tokio::test]
async fn events_end_with_the_drain_and_go_on_where_they_ended() {
    let router = Router::new().route("/", get(three));
    let server = test::Server::start(test::service("test", []), router).await;
    let client = server.client();
    let call = test::call();
    let mut events = client.get(&call, "/").send().await.unwrap().events::<String>();
    for number in 0..3 {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!(event, Event::new(format!("event {number}")).with_id(number));
    }
    let mut late = client.get(&call, "/").header("last-event-id", "1").send().await.unwrap().events::<String>();
    assert_eq!(late.next().await.unwrap().unwrap().data, "event 2");
    let refused = client.get(&call, "/").header("last-event-id", "x").send().await;
    assert_eq!(refused.unwrap_err().status(), Some(StatusCode::BAD_REQUEST));

    server.drain();
    for mut events in [events, late] {
        assert!(tokio::time::timeout(GENEROUS, events.next()).await.unwrap().is_none(), "it ends, and does not break");
    }
    tokio::time::timeout(GENEROUS, server.stop()).await.unwrap();
}
