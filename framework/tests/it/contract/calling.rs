//! The typed client, and the mock.

use std::collections::BTreeMap;

use bytes::Bytes;
use samspill::contract::ApiFailure;
use samspill::{Call, CallError, Client, Problem, test};

use super::parcels::{
    Ask, Contents, MockParcels, NewParcel, ParcelError, ParcelsApi, ParcelsClient, Part, Payment, Place, Size, Speed,
    server, v1,
};

fn ask(to: &str) -> Ask {
    Ask { to: to.to_owned(), grams: 2500, speed: Speed::NextDay, r#type: "book".to_owned() }
}

fn new_parcel() -> NewParcel {
    NewParcel {
        sender_name: "Åse".to_owned(),
        contents: Contents::Goods { cents: u64::MAX },
        labels: BTreeMap::from([("fragile".to_owned(), "yes".to_owned())]),
        size: Size { grams: 7, note: None },
    }
}

#[tokio::test]
async fn every_kind_of_argument_and_answer_goes_there_and_back() {
    let server = server().await;
    let (client, call) = (ParcelsClient::from(server.client()), test::call());

    let quote = client.quote(&call, ask("SE")).await.unwrap();
    assert_eq!((quote.cents, quote.parts), (2500, BTreeMap::from([(7, 2500)])));
    assert_eq!(quote.route.unwrap().legs[0].stop, ("SE".to_owned(), 1));

    #[expect(deprecated, reason = "the compiler says that it will go")]
    let quote_v1 = client.quote_v1(
        &call,
        v1::Ask { to: "S&E".into(), kilograms: 3, discount_percent: None, speed: Some(Speed::NextDay) },
    );
    let error = quote_v1.await.unwrap_err();
    let ApiFailure::Refused(ParcelError::Other(problem)) = error else { panic!("{error:?}") };
    assert_eq!(problem.errors()[0].field, "to");

    assert_eq!(client.sizes(&call).await.unwrap(), BTreeMap::from([(1, u64::MAX)]));

    let event = client.event(&call, ("P-1".to_owned(), u64::MAX)).await.unwrap();
    assert_eq!((event.parcel.as_str(), event.number), ("P-1", u64::MAX));

    let place = Place { country: "NO".to_owned(), town: "Å/s %2F".to_owned() };
    assert_eq!(client.depot(&call, place.clone()).await.unwrap(), place);

    let booked = client.book(&call, None, new_parcel()).await.unwrap();
    assert_eq!((booked.id.as_str(), booked.parcel), ("17", Some(new_parcel())));
    let booked = client.book(&call, Some("key-1".to_owned()), new_parcel()).answered().await.unwrap();
    assert_eq!((booked.status.as_u16(), &booked.headers["location"]), (201, &"parcels/key-1".parse().unwrap()));
    assert_eq!(booked.value.id, "key-1");
    let booked = client.book(&call, None, new_parcel()).idempotency_key("key-2").await.unwrap();
    assert_eq!(booked.id, "key-2");

    let payment = Payment { parcel: "P 1&=+%".to_owned(), cents: 7 };
    let paid = client.pay(&call, "key-3".to_owned(), payment).answered().await.unwrap();
    assert_eq!((paid.status.as_u16(), paid.headers["x-paid"].to_str().unwrap()), (202, "key-3 P 1&=+% 7"));

    let label = client.label(&call, "P-1".to_owned(), Bytes::from_static(b"\xff\0")).answered().await.unwrap();
    assert_eq!(label.status, 204);
    client.discard(&call, "P-1".to_owned()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let server = server().await;
    let (client, call) = (ParcelsClient::from(server.client()), test::call());
    let (mut part, mut read) = (Part { limit: Some(2), cursor: None }, Vec::new());
    loop {
        let page = client.parcels(&call, part.clone()).await.unwrap();
        read.push(page.items);
        let Some(next) = page.next else { break };
        part.cursor = Some(next);
    }
    assert_eq!(read, [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(client.parcels(&call, Part::default()).await.unwrap().items, [0, 1, 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_path_carries_any_text_as_it_is() {
    let server = server().await;
    let (client, call) = (ParcelsClient::from(server.client()), test::call());
    for id in [
        "a/b",
        "/",
        "100%",
        "%2F",
        "a b",
        "a+b",
        "Å 🧶",
        "a?b=c",
        "a#b",
        "...",
        "..a",
        "a;b",
        "\"<>\\^`{|}",
        "{id}",
        "a\nb\0",
        ":@!$&'()*,=",
        "-._~",
    ] {
        assert_eq!(client.parcel(&call, id.to_owned()).await.unwrap().id, id);
        assert_eq!(client.event(&call, (id.to_owned(), 7)).await.unwrap().parcel, id);
    }
    // These cannot: whatever stands between would take them for steps (RFC 3986 §5.2.4), or see no parameter.
    for id in ["", ".", ".."] {
        let error = client.parcel(&call, id.to_owned()).await.unwrap_err();
        let ApiFailure::Call(error @ CallError::Request { .. }) = error else { panic!("{error:?}") };
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, format!("`id` of the path cannot be {id:?}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_error_comes_back_as_the_one_that_it_was() {
    let server = server().await;
    let (client, call) = (ParcelsClient::from(server.client()), test::call());
    let refused = async |to| match client.quote(&call, ask(to)).await {
        Err(ApiFailure::Refused(error)) => error,
        other => panic!("{other:?}"),
    };
    let unknown = |country: &str, nearest: Option<&str>| ParcelError::UnknownDestination {
        country: country.to_owned(),
        nearest: nearest.map(str::to_owned),
    };
    assert_eq!(refused("XX").await, unknown("XX", Some("SE")));
    assert_eq!(refused("YY").await, unknown("YY", None));
    assert_eq!(refused("ZZ").await, ParcelError::NotReady);
    // What no variant names is the transparent one's.
    let ParcelError::Other(problem) = refused("!!").await else { panic!() };
    assert_eq!((problem.status().as_u16(), problem.title()), (409, "Somebody else was first"));
    let ParcelError::Other(problem) = refused("too long").await else { panic!() };
    assert_eq!((problem.status().as_u16(), problem.errors()[0].field.as_str()), (422, "to"));

    let missing = client.parcel(&call, "none".to_owned()).await.unwrap_err();
    let ApiFailure::Refused(ParcelError::NoSuchParcel { id }) = &missing else { panic!("{missing:?}") };
    assert_eq!(id, "none");
    // Who does not match it fails for the caller, who never asked for that parcel.
    assert_eq!(Problem::from(missing).status(), 502);
    assert_eq!(client.parcel(&call, "none".to_owned()).best_effort().await, None);
    assert_eq!(client.parcel(&call, "P-1".to_owned()).best_effort().await.map(|parcel| parcel.id), Some("P-1".into()));
    server.stop().await;
}

#[tokio::test]
async fn who_is_not_there_is_no_error_of_the_contract() {
    let server = server().await;
    let address = server.address();
    server.stop().await;
    let client = ParcelsClient::from(Client::at(&format!("http://{address}/api/parcels/")));
    let error = client.sizes(&test::call()).await.unwrap_err();
    assert!(matches!(error, ApiFailure::Call(CallError::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_base_url_may_have_a_prefix() {
    let router = axum::Router::new().nest("/api", ParcelsApi::router(super::parcels::Depot).into_router());
    let server = test::Server::start(test::service("edge", []), router).await;
    let client = ParcelsClient::from(Client::at(&server.url("/api/")));
    assert_eq!(client.parcel(&test::call(), "a/b".to_owned()).await.unwrap().id, "a/b");
    server.stop().await;
}

#[tokio::test]
async fn a_mock_answers_what_it_was_told_to() {
    let mock = MockParcels::new()
        .with_sizes(|_call: &Call| Ok(samspill::extract::Json(BTreeMap::from([(2, 3)]))))
        .with_parcel(|_call, samspill::extract::Path(id)| Err(ParcelError::NoSuchParcel { id }));
    let server = test::Server::start(test::service("parcels", []), ParcelsApi::router(mock)).await;
    let (client, call) = (ParcelsClient::from(server.client()), test::call());
    assert_eq!(client.sizes(&call).await.unwrap(), BTreeMap::from([(2, 3)]));
    let missing = client.parcel(&call, "P-1".to_owned()).await.unwrap_err();
    assert!(matches!(missing, ApiFailure::Refused(ParcelError::NoSuchParcel { .. })), "{missing:?}");
    // It was told nothing of this one: a bug of the test, which harms no other request.
    let unprepared = client.discard(&call, "P-1".to_owned()).await.unwrap_err();
    let ApiFailure::Refused(ParcelError::Other(problem)) = unprepared else { panic!("{unprepared:?}") };
    assert_eq!(problem.status(), 500);
    assert_eq!(client.sizes(&call).await.unwrap(), BTreeMap::from([(2, 3)]));
    server.stop().await;
}

#[tokio::test]
async fn an_unprepared_mock_says_what_to_write() {
    use super::parcels::Parcels;
    let unprepared = samspill_net::task::spawn("mock", async {
        let _never = MockParcels::new().sizes(&test::call()).await;
    });
    let panic = unprepared.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    let expected = "MockParcels was not told what `sizes` answers; say so with `.with_sizes(|call, …| …)`";
    assert_eq!(message, expected);
}
