//! The gRPC API of parcel-tracking, and what a watch sees.

use futures_util::StreamExt;
use parcel_tracking_api::v1::tracking_client::TrackingClient;
use parcel_tracking_api::v1::tracking_server::TrackingServer;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::Code;

use super::*;

/// Two replicas on one database, with one parcel, `p-1`; each looks for what the other appends.
struct Replicas {
    servers: [Server; 2],
    _folder: TempDir,
    _feeds: JoinSet<std::convert::Infallible>,
}

async fn replicas() -> Replicas {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tracking.db", folder.path().display());
    let mut feeds = JoinSet::new();
    let mut server = async || {
        let (store, feed) = (Store::open(&url).await.unwrap(), Feed::new());
        let server = Server::new(store.clone(), feed.clone(), Some("parcel-tracking-0"));
        feeds.spawn(async move { feed.run(&store).await });
        server
    };
    let servers = [server().await, server().await];
    servers[0].create(Request::new(parcel("p-1"))).await.unwrap();
    Replicas { servers, _folder: folder, _feeds: feeds }
}

fn parcel(id: &str) -> CreateRequest {
    CreateRequest { id: id.to_owned(), from: "NO".to_owned(), to: "SE".to_owned(), grams: 2500 }
}

async fn append(server: &Server, kind: WireEventType, place: &str) -> Result<Event, Code> {
    let request = AppendRequest { id: "p-1".to_owned(), r#type: kind.into(), place: place.to_owned() };
    server.append(Request::new(request)).await.map(Response::into_inner).map_err(|status| status.code())
}

async fn watch(server: &Server, after_sequence: u64) -> impl Stream<Item = (u64, String)> + Unpin {
    let request = WatchRequest { id: "p-1".to_owned(), after_sequence };
    let events = server.watch(Request::new(request)).await.unwrap().into_inner();
    events.map(|event| event.map(|event| (event.sequence, event.place)).unwrap())
}

fn told(sequence: u64, place: &str) -> Option<(u64, String)> {
    Some((sequence, place.to_owned()))
}

#[tokio::test]
async fn a_watcher_sees_what_either_replica_appends() {
    let Replicas { servers: [one, other], .. } = &replicas().await;
    append(one, WireEventType::PickedUp, "Oslo").await.unwrap();
    let mut watchers = [watch(one, 0).await, watch(other, 0).await];
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await, told(1, "Oslo"));
    }
    append(one, WireEventType::InTransit, "Moss").await.unwrap();
    append(other, WireEventType::InTransit, "Svinesund").await.unwrap();
    append(one, WireEventType::Delivered, "Göteborg").await.unwrap();
    for watcher in watchers {
        let rest: Vec<_> = watcher.map(|(sequence, place)| format!("{sequence} {place}")).collect().await;
        assert_eq!(rest, ["2 Moss", "3 Svinesund", "4 Göteborg"]);
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_another_broke_off() {
    let Replicas { servers: [one, other], .. } = &replicas().await;
    for place in ["Oslo", "Moss", "Svinesund"] {
        append(one, WireEventType::InTransit, place).await.unwrap();
    }
    let mut broken = watch(one, 0).await;
    assert_eq!(broken.next().await, told(1, "Oslo"));
    drop(broken);
    let mut resumed = watch(other, 1).await;
    assert_eq!(resumed.next().await, told(2, "Moss"));
    assert_eq!(resumed.next().await, told(3, "Svinesund"));
    append(one, WireEventType::Delivered, "Göteborg").await.unwrap();
    assert_eq!(resumed.next().await, told(4, "Göteborg"));
    assert_eq!(resumed.next().await, None);
    assert_eq!(watch(one, 4).await.next().await, None, "nothing is left to tell");
}

#[tokio::test]
async fn an_instance_that_stops_sends_its_watchers_to_another() {
    let Replicas { servers: [one, other], .. } = &replicas().await;
    let service = samspill::test::service("parcel-tracking", []).grpc(TrackingServer::new(one.clone()));
    let service = service.descriptors(parcel_tracking_api::DESCRIPTORS);
    let server = samspill::test::Server::start(service, axum::Router::new()).await;
    let mut client = TrackingClient::new(server.channel().call(&samspill::test::call()));
    let request = WatchRequest { id: "p-1".to_owned(), after_sequence: 0 };
    let mut events = client.watch(request).await.unwrap().into_inner();
    append(other, WireEventType::PickedUp, "Oslo").await.unwrap();
    assert_eq!(events.message().await.unwrap().unwrap().sequence, 1);
    server.drain();
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unavailable);
    drop(events);
    server.stop().await;
}

#[tokio::test]
async fn a_parcel_is_registered_once() {
    let Replicas { servers: [one, other], .. } = &replicas().await;
    append(one, WireEventType::PickedUp, "Oslo").await.unwrap();
    let again = other.create(Request::new(parcel("p-1"))).await.unwrap();
    assert_eq!(again.get_ref().events.len(), 1, "the repeat is answered with the parcel as it is");
    assert_eq!(again.metadata().get(INSTANCE_NAME).unwrap(), "parcel-tracking-0");
    let heavier = CreateRequest { grams: 2501, ..parcel("p-1") };
    let status = other.create(Request::new(heavier)).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(Problem::from_status(&status).kind_uri(), "urn:samspill:problem:id-taken");
}

#[tokio::test]
async fn appends_through_both_replicas_are_numbered_without_gaps() {
    let Replicas { servers, .. } = &replicas().await;
    let mut writers = JoinSet::new();
    for number in 0..20 {
        let server = servers[number % 2].clone();
        writers.spawn(async move { append(&server, WireEventType::InTransit, "Moss").await.unwrap().sequence });
    }
    let mut sequences = writers.join_all().await;
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn bad_input_names_every_field() {
    let Replicas { servers: [server, _], .. } = &replicas().await;
    let bad = CreateRequest { id: "a/b".to_owned(), from: "XX".to_owned(), to: String::new(), grams: 0 };
    let status = server.create(Request::new(bad)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let problem = Problem::from_status(&status);
    let fields: Vec<_> = problem.errors().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["id", "from", "to", "grams"]);
    assert_eq!(append(server, WireEventType::Unspecified, "Oslo").await, Err(Code::InvalidArgument));
    assert_eq!(append(server, WireEventType::PickedUp, "").await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let Replicas { servers: [server, _], .. } = &replicas().await;
    let get = server.get(Request::new(GetRequest { id: "p-2".to_owned() })).await;
    assert_eq!(get.unwrap_err().code(), Code::NotFound);
    let watch = server.watch(Request::new(WatchRequest { id: "p-2".to_owned(), after_sequence: 0 })).await;
    assert_eq!(watch.map(|_| ()).unwrap_err().code(), Code::NotFound);
    append(server, WireEventType::Delivered, "Göteborg").await.unwrap();
    assert_eq!(append(server, WireEventType::InTransit, "Moss").await, Err(Code::FailedPrecondition));
}
