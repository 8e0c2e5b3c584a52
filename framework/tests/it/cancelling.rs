//! Who goes away stops the work that was done for them, except for what was detached.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use samspill::{Call, test};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, oneshot};

use crate::support::{GENEROUS, connect, drop_signal, http2};

/// A service whose one handler says when it has begun, holds something, and never ends.
async fn holding(held: oneshot::Sender<()>) -> (test::Server, Arc<Semaphore>) {
    let begun = Arc::new(Semaphore::new(0));
    let begins = Arc::clone(&begun);
    let held = Arc::new(Mutex::new(Some(held)));
    let handler = async move || {
        let _held = held.lock().unwrap().take();
        begins.add_permits(1);
        std::future::pending::<&str>().await
    };
    let router = Router::new().route("/", get(handler));
    (test::Server::start(test::service("test", []), router).await, begun)
}

async fn once(semaphore: &Semaphore) {
    tokio::time::timeout(GENEROUS, semaphore.acquire()).await.unwrap().unwrap().forget();
}

#[tokio::test]
async fn a_closed_http1_connection_drops_the_handler() {
    let (held, dropped) = drop_signal();
    let (server, begun) = holding(held).await;
    let mut caller = connect(server.address()).await;
    caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    once(&begun).await;
    drop(caller);
    dropped.await;
    server.stop().await;
}

#[tokio::test]
async fn a_reset_http2_stream_drops_the_handler_and_nothing_else() {
    let (held, dropped) = drop_signal();
    let (server, begun) = holding(held).await;
    let (mut sender, driving) = http2(server.address()).await;
    let request = |path| Request::get(server.url(path)).body(Full::new(Bytes::new())).unwrap();
    tokio::select! {
        answer = sender.send_request(request("/")) => panic!("{answer:?}"),
        () = once(&begun) => {} // dropping the request resets its stream
    }
    dropped.await;
    assert_eq!(sender.send_request(request("/livez")).await.unwrap().status(), 200);
    drop(sender);
    driving.await.unwrap().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn detached_work_outlives_its_caller_and_the_drain_waits_for_it() {
    let begun = Arc::new(Semaphore::new(0));
    let may_end = Arc::new(Semaphore::new(0));
    let has_ended = Arc::new(Semaphore::new(0));
    let (held, handler_dropped) = drop_signal();
    let held = Arc::new(Mutex::new(Some(held)));
    let handler = {
        let (begun, may_end, has_ended) = (Arc::clone(&begun), Arc::clone(&may_end), Arc::clone(&has_ended));
        async move |call: Call| {
            let _held = held.lock().unwrap().take();
            let work = call.detach(async move |_call| {
                begun.add_permits(1);
                may_end.acquire().await.unwrap().forget();
                has_ended.add_permits(1);
            });
            work.await.unwrap();
            "done"
        }
    };
    let router = Router::new().route("/", get(handler));
    let server = test::Server::start(test::service("test", []), router).await;
    let mut caller = connect(server.address()).await;
    caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    once(&begun).await;
    drop(caller);
    handler_dropped.await;

    let mut stopping = Box::pin(server.stop());
    assert!(futures_util::poll!(stopping.as_mut()).is_pending());
    assert_eq!(has_ended.available_permits(), 0);
    may_end.add_permits(1);
    tokio::time::timeout(GENEROUS, stopping).await.unwrap();
    assert_eq!(has_ended.available_permits(), 1);
}
