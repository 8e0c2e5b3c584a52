//! What a call reads of its request, and what it passes on.

use http::header::AUTHORIZATION;
use samspill_net::drain;
use samspill_observability::conventions::header::{SAMSPILL_PRIORITY, TRACEPARENT};

use http::HeaderValue;

use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn call(incoming: &HeaderMap) -> Call {
    let (call, refusal) = Call::of_request(incoming, Protocol::Http, Span::none(), &Surroundings::default());
    assert_eq!(refusal, None);
    call
}

fn sent(incoming: &HeaderMap) -> HeaderMap {
    let call = call(incoming);
    let mut sent = HeaderMap::new();
    call.inject(&Span::none(), call.deadline(), Protocol::Http, &mut sent);
    sent
}

#[test]
fn the_trace_is_passed_on_as_it_came() {
    let incoming = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (BAGGAGE, "user=7")]);
    assert_eq!(sent(&incoming), incoming);
    assert_eq!(call(&incoming).trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
}

#[test]
fn a_malformed_trace_ends_with_its_state_but_not_the_baggage() {
    let incoming = headers(&[(TRACEPARENT, "00-nonsense"), (TRACESTATE, "a=1"), (BAGGAGE, "user=7")]);
    assert_eq!(sent(&incoming), headers(&[(BAGGAGE, "user=7")]));
}

#[test]
fn the_peer_is_believed_only_in_a_mesh_and_only_once() {
    let check = |in_mesh, value: &str, expected: Option<&str>| {
        let surroundings = Surroundings { in_mesh, ..Surroundings::default() };
        let headers = headers(&[(CLIENT_CERTIFICATE, value)]);
        let (call, _) = Call::of_request(&headers, Protocol::Http, Span::none(), &surroundings);
        assert_eq!(call.peer().map(ToString::to_string).as_deref(), expected, "{value}");
    };
    let booking = "spiffe://samspill.local/ns/default/sa/parcel-booking";
    let good = format!("By=spiffe://samspill.local/ns/default/sa/invoicing;URI={booking}");
    check(true, &good, Some(booking));
    check(true, &format!("By=x;URI=\"{booking}\""), Some(booking));
    check(false, &good, None);
    check(true, &format!("{good},{good}"), None);
    check(true, &format!("URI={booking};URI={booking}"), None);
    check(true, "By=spiffe://samspill.local/ns/default/sa/invoicing", None);
    check(true, "URI=https://example.com", None);
}

#[tokio::test(start_paused = true)]
async fn each_hop_is_told_what_is_left_of_the_deadline() {
    let call = call(&headers(&[(SAMSPILL_TIMEOUT, "2S")]));
    assert_eq!(call.deadline(), Some(Instant::now() + Duration::from_secs(2)));
    tokio::time::advance(Duration::from_millis(500)).await;
    for (protocol, name) in [(Protocol::Http, SAMSPILL_TIMEOUT), (Protocol::Grpc, GRPC_TIMEOUT)] {
        let mut sent = HeaderMap::new();
        call.inject(&Span::none(), call.deadline(), protocol, &mut sent);
        assert_eq!(sent, headers(&[(name, "1500000u")]));
    }
    let brief = call.with_timeout(Duration::from_secs(1));
    assert_eq!(brief.deadline(), Some(Instant::now() + Duration::from_secs(1)));
    assert_eq!(brief.with_timeout(Duration::from_secs(5)).deadline(), brief.deadline());
    assert_eq!(call.with_timeout(Duration::MAX).deadline(), call.deadline());
}

#[test]
fn the_timeout_is_read_from_the_protocols_own_header() {
    let both = headers(&[(SAMSPILL_TIMEOUT, "2S"), (GRPC_TIMEOUT, "soon")]);
    let refused = |protocol| Call::of_request(&both, protocol, Span::none(), &Surroundings::default()).1;
    assert_eq!(refused(Protocol::Http), None);
    assert_eq!(refused(Protocol::Grpc), Some(Refusal::MalformedTimeout(GRPC_TIMEOUT)));
    let none_left = headers(&[(SAMSPILL_TIMEOUT, "0m")]);
    let surroundings = Surroundings::default();
    let (_, refusal) = Call::of_request(&none_left, Protocol::Http, Span::none(), &surroundings);
    assert_eq!(refusal, Some(Refusal::Late));
}

#[test]
fn the_priority_is_carried_on_and_an_unknown_one_is_normal() {
    for (word, priority, carried) in [
        ("critical", Priority::Critical, Some("critical")),
        ("background", Priority::Background, Some("background")),
        ("normal", Priority::Normal, None),
        ("CRITICAL", Priority::Normal, None),
        ("", Priority::Normal, None),
    ] {
        let incoming = headers(&[(SAMSPILL_PRIORITY, word)]);
        assert_eq!(call(&incoming).priority(), priority, "{word}");
        let expected: Vec<_> = carried.into_iter().map(|word| (SAMSPILL_PRIORITY, word)).collect();
        assert_eq!(sent(&incoming), headers(&expected), "{word}");
    }
    assert!(Priority::Background < Priority::Normal && Priority::Normal < Priority::Critical);
}

#[test]
fn what_is_about_this_request_alone_is_not_carried_on() {
    let incoming = headers(&[(idempotency::KEY, "key-1"), (SAMSPILL_ATTEMPT, "3"), (AUTHORIZATION, "Bearer x")]);
    let call = call(&incoming);
    assert_eq!((call.idempotency_key(), call.attempt()), (Some("key-1"), 3));
    assert_eq!(sent(&incoming), HeaderMap::new());
}

#[test]
fn keys_and_attempts_that_are_none_are_passed_over() {
    for attempt in ["0", "-1", "x", "", "99999999999"] {
        assert_eq!(call(&headers(&[(SAMSPILL_ATTEMPT, attempt)])).attempt(), 1, "{attempt}");
    }
    let long = "x".repeat(201);
    for key in ["", "a b", "a\tb", &long] {
        assert_eq!(call(&headers(&[(idempotency::KEY, key)])).idempotency_key(), None, "{key}");
    }
    let longest = "x".repeat(200);
    assert_eq!(call(&headers(&[(idempotency::KEY, &longest)])).idempotency_key(), Some(longest.as_str()));
    assert_eq!(call(&headers(&[(idempotency::KEY, "a"), (idempotency::KEY, "a")])).idempotency_key(), None);
    assert_eq!((call(&HeaderMap::new()).attempt(), call(&HeaderMap::new()).idempotency_key()), (1, None));
}

#[tokio::test]
async fn the_drain_waits_for_detached_work() {
    let (drain, watch) = drain::channel();
    drop(watch);
    let drain = Arc::new(drain);
    let surroundings = Surroundings { drain: Some(Arc::clone(&drain)), ..Surroundings::default() };
    let call = Call::of_our_own(Span::none(), &surroundings).with_timeout(Duration::ZERO);
    let (let_go, may_end) = tokio::sync::oneshot::channel::<()>();
    let work = call.detach(async |call: Call| (call.deadline(), may_end.await));
    drop(call);
    drain.start();
    assert!(drain.finished().now_or_never().is_none());
    let_go.send(()).unwrap();
    drain.finished().await;
    assert_eq!(work.await.unwrap(), (None, Ok(())));
}
