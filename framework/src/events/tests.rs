//! Events in both directions, without a server: what is written, and what is read.

use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::*;
use crate::test;

async fn next_chunk(body: &mut Body) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let events = stream::poll_fn(move |context| receiver.poll_recv(context));
    let response = Events::new(&test::call(), events).into_response();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    sender.send(Event::new("a")).unwrap();
    assert_eq!(next_chunk(&mut body).await, "data: \"a\"\n\n");
    let begun = tokio::time::Instant::now();
    for count in 1..=3 {
        assert_eq!(next_chunk(&mut body).await, ":\n\n");
        assert_eq!(begun.elapsed(), KEEP_ALIVE * count);
    }
    sender.send(Event::new("b").with_id(7).with_kind("letter")).unwrap();
    assert_eq!(next_chunk(&mut body).await, "id: 7\nevent: letter\ndata: \"b\"\n\n");
    assert!(body.frame().now_or_never().is_none());
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn what_cannot_be_written_breaks_the_stream_off() {
    let lines = "a\nb";
    for event in [Event::new(1).with_id(lines), Event::new(1).with_id("\0"), Event::new(1).with_kind(lines)] {
        let events = Events::new(&test::call(), stream::iter([Event::new(0), event, Event::new(2)]));
        let mut body = events.into_response().into_body();
        assert_eq!(next_chunk(&mut body).await, "data: 0\n\n");
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }
    let no_json = Events::new(&test::call(), stream::iter([Event::new(std::collections::HashMap::from([((), ())]))]));
    assert!(no_json.into_response().into_body().frame().await.unwrap().is_err());
}

async fn read<T: DeserializeOwned>(kind: &'static str, chunks: &[&'static str]) -> Vec<Result<Event<T>, CallError>> {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
    received("test".to_owned(), &headers, stream::iter(chunks)).collect().await
}

#[tokio::test]
async fn what_is_received_has_its_type() {
    let events =
        read::<u32>("text/event-stream; charset=utf-8", &["id: a\nda", "ta: 1\r", "\n\r\ndata: 2\n\ndata: 3\n"]).await;
    let events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
    assert_eq!(events, [Event::new(1).with_id("a"), Event::new(2).with_id("a")]);

    for (kind, chunk, good) in [
        ("text/event-stream", "data: 1\n\ndata: x\n\ndata: 2\n\n", 1),
        ("text/event-stream", "data: 1\n\ndata: 1\ndata: 2 2\n\n", 1),
        ("application/json", "data: 1\n\n", 0),
    ] {
        let mut events = read::<u32>(kind, &[chunk]).await;
        let last = events.pop().unwrap();
        assert!(matches!(last, Err(CallError::Unexpected { .. })), "{last:?}");
        assert!(events.len() == good && events.iter().all(Result::is_ok), "{events:?}");
    }
}

#[test]
fn the_last_id_is_parsed() {
    let headers = |values: &[&'static [u8]]| -> HeaderMap {
        values.iter().map(|value| (LAST_EVENT_ID, HeaderValue::from_bytes(value).unwrap())).collect()
    };
    assert_eq!(last_event_id::<u64>(&headers(&[])), Ok(None));
    assert_eq!(last_event_id::<u64>(&headers(&[b""])), Ok(None));
    assert_eq!(last_event_id::<u64>(&headers(&[b"7"])), Ok(Some(7)));
    assert_eq!(last_event_id::<String>(&headers(&["å".as_bytes()])), Ok(Some("å".to_owned())));
    for values in [&[&b"x"[..]][..], &[b"\xff"], &[b"7", b"7"]] {
        let problem = last_event_id::<u64>(&headers(values)).unwrap_err();
        assert_eq!((problem.status(), problem.errors()[0].field.as_str()), (StatusCode::BAD_REQUEST, "Last-Event-ID"));
    }
}
