//! A parcel is watched on one replica while the other one is told what happens to it.

use parcel_tracking_api::v1::WatchRequest;
use parcel_tracking_api::v1::tracking_client::TrackingClient;
use serde_json::json;

use crate::load::book;
use crate::mesh::{Instance, Mesh};
use crate::web;

#[tokio::test]
async fn a_watch_delivers_what_was_appended_through_either_replica_and_resumes() {
    let mesh = Mesh::craterate().await;
    let booking = book(mesh.edge, "watched").await.unwrap().json();
    let id = booking["tracking_id"].as_str().unwrap();
    let replicas = mesh.instances("parcel-tracking").await;

    let mut events = watch(&replicas[0], id, 0).await;
    append(&replicas[1], id, "picked-up").await;
    assert_eq!(next(&mut events).await, Some(1));
    append(&replicas[0], id, "in-transit").await;
    assert_eq!(next(&mut events).await, Some(2));
    drop(events);

    append(&replicas[0], id, "in-transit").await;
    let mut events = watch(&replicas[1], id, 2).await;
    assert_eq!(next(&mut events).await, Some(3));
    append(&replicas[0], id, "delivered").await;
    assert_eq!(next(&mut events).await, Some(4));
    assert_eq!(next(&mut events).await, None);
}

type Events = tonic::Streaming<parcel_tracking_api::v1::Event>;

async fn watch(replica: &Instance, id: &str, after_sequence: u64) -> Events {
    let mut client = TrackingClient::connect(format!("http://{}", replica.address.unwrap())).await.unwrap();
    client.watch(WatchRequest { id: id.to_owned(), after_sequence }).await.unwrap().into_inner()
}

async fn next(events: &mut Events) -> Option<u64> {
    events.message().await.unwrap().map(|event| event.sequence)
}

async fn append(replica: &Instance, id: &str, kind: &str) {
    let event = json!({"type": kind, "place": "Oslo"});
    let reply = web::post(replica.address.unwrap(), &format!("/v1/parcels/{id}/events"), &event).await.unwrap();
    assert!(reply.status.is_success(), "{reply:?}");
}
