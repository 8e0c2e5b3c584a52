//! What is asked for, in which order, and what is told when something is wrong.

use envoy_types::pb::envoy::service::discovery::v3::Resource;
use envoy_types::pb::google::protobuf::Any;
use samspill_model::intent::PathMatch;
use samspill_model::snapshot::{RouteRule, WeightedBackend};

use super::*;
use crate::messages::{Profile, pack};

const A: &str = "a.shop:80";

fn a() -> ServicePort {
    A.parse().unwrap()
}

fn routes() -> RouteTable {
    let backends = vec![WeightedBackend { backend: a(), weight: 1 }];
    RouteTable { rules: vec![RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends }] }
}

fn response(kind: Kind, payload: Option<Any>) -> DeltaDiscoveryResponse {
    let resource = Resource { name: A.to_owned(), version: "1".to_owned(), resource: payload, ..Resource::default() };
    DeltaDiscoveryResponse {
        type_url: kind.type_url().to_owned(),
        nonce: "n".to_owned(),
        resources: vec![resource],
        ..DeltaDiscoveryResponse::default()
    }
}

fn good<P: Profile>(value: &P) -> DeltaDiscoveryResponse {
    response(P::KIND, Some(pack(A, value)))
}

/// A state, and what it has told.
fn following() -> (State, Vec<Update>) {
    let (mut state, mut updates) = (State::default(), Vec::new());
    state.want(Wanted::Service(a()));
    state.open(&mut |update| updates.push(update));
    (state, updates)
}

/// The type, names and nonce of each request.
fn summary(requests: &[DeltaDiscoveryRequest]) -> Vec<(Kind, &[String], &str)> {
    let mut lines = Vec::new();
    for DeltaDiscoveryRequest { type_url, resource_names_subscribe, response_nonce, .. } in requests {
        lines.push((Kind::from_type_url(type_url).unwrap(), &resource_names_subscribe[..], &response_nonce[..]));
    }
    lines
}

#[test]
fn the_first_requests_end_with_inbound_and_ask_for_no_wildcard() {
    let (mut state, _updates) = following();
    assert_eq!(
        summary(&state.open(&mut |_update| {})),
        [(Kind::Listener, &[A.to_owned()][..], ""), (Kind::Inbound, &[][..], ""),]
    );
}

#[test]
fn what_routes_need_is_asked_for_before_they_are_acknowledged() {
    let (mut state, mut updates) = following();
    let mut apply = |update| updates.push(update);
    let names = &[A.to_owned()][..];
    let requests = state.receive(good(&Exists), &mut apply);
    assert_eq!(summary(&requests), [(Kind::Routes, names, ""), (Kind::Listener, &[][..], "n")]);
    let requests = state.receive(good(&routes()), &mut apply);
    assert_eq!(
        summary(&requests),
        [(Kind::Cluster, names, ""), (Kind::Endpoints, names, ""), (Kind::Routes, &[][..], "n")]
    );
    assert_eq!(updates, []);
}

#[test]
fn what_cannot_be_understood_and_has_no_last_good_does_not_exist() {
    let (mut state, mut updates) = following();
    let requests = state.receive(response(Kind::Listener, None), &mut |update| updates.push(update));
    let error = requests[0].error_detail.as_ref().unwrap();
    assert_eq!(error.message, "envoy.config.listener.v3.Listener `a.shop:80`: there is no payload");
    assert_eq!(updates, [Update::Routes(RouteKey::Service(a()), None)]);
    let versions = &state.open(&mut |_update| {})[0].initial_resource_versions;
    assert!(versions.is_empty(), "what was refused must be sent again");
}

#[test]
fn a_type_outside_of_the_profile_is_refused() {
    let (mut state, _updates) = following();
    let response = DeltaDiscoveryResponse { type_url: "other".to_owned(), ..DeltaDiscoveryResponse::default() };
    let requests = state.receive(response, &mut |_update| {});
    assert_eq!(requests[0].error_detail.as_ref().unwrap().message, "the type `other` is outside of the profile");
}

#[test]
fn a_proxy_does_not_follow_names_without_end() {
    let (mut state, mut updates) = (State::default(), Vec::new());
    let name = |n: usize| ServicePort::new(format!("s{n}"), "shop", 80);
    for n in 0..=MAX_SERVICES {
        state.want(Wanted::Service(name(n)));
    }
    state.want(Wanted::Service(name(0)));
    let requests = state.settle(&mut |update| updates.push(update));
    assert_eq!(requests[0].resource_names_subscribe.len(), MAX_SERVICES);
    assert_eq!(updates, [Update::Routes(RouteKey::Service(name(MAX_SERVICES)), None)]);
}
