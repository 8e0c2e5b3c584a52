//! The rules of a stream, one test each (facts: integration.md §1.5 and §1.6).

use std::collections::BTreeMap;

use envoy_types::pb::google::rpc;
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, PathMatch};
use samspill_model::name::{InstanceName, ServicePort};
use samspill_model::snapshot::{Backend, Inbound, RouteRule, RouteTable, Snapshot, WeightedBackend};

use super::*;

const A: &str = "a.shop:80";
const B: &str = "b.shop:80";

fn snapshot(generation: u64, services: &[(&str, u16)]) -> Snapshot {
    let mut snapshot = Snapshot { generation: Generation(generation), ..Snapshot::default() };
    for (name, port) in services {
        let name: ServicePort = name.parse().unwrap();
        let backends = vec![WeightedBackend { backend: name.clone(), weight: 1 }];
        let rule = RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends };
        let backend = Backend {
            name: name.clone(),
            protocol: AppProtocol::Http1,
            identities: vec![SpiffeId::new("samspill.local", "shop", &name.service)],
            endpoints: vec![([127, 0, 0, 1], *port).into()],
        };
        snapshot.services.insert(name.clone(), RouteTable { rules: vec![rule] });
        snapshot.backends.insert(name, backend);
    }
    snapshot
}

fn resources(generation: u64, services: &[(&str, u16)]) -> Resources {
    Resources::render(&snapshot(generation, services))
}

type Test = Session<fn(&str) -> bool>;

/// A stream of one of our proxies, or of an Envoy.
fn session(user_agent: &str) -> Test {
    let node = Node { id: "a-0".to_owned(), user_agent_name: user_agent.to_owned(), ..Node::default() };
    Session::new(node, |instance| instance == "a-0")
}

fn subscribe(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: names.iter().map(|&name| name.to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn answer(response: &DeltaDiscoveryResponse, error: Option<&str>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: error.map(|error| rpc::Status { code: 3, message: error.to_owned(), details: Vec::new() }),
        ..DeltaDiscoveryRequest::default()
    }
}

/// Takes in a request and tells what is sent.
fn ask(session: &mut Test, resources: &Resources, request: DeltaDiscoveryRequest) -> Vec<DeltaDiscoveryResponse> {
    assert_eq!(session.receive(request).unwrap(), None);
    session.push(resources)
}

/// `+name` for what is given, `-name` for what is taken, per response, after the type.
fn summary(responses: &[DeltaDiscoveryResponse]) -> Vec<(Kind, String)> {
    let line = |response: &DeltaDiscoveryResponse| {
        let given = response.resources.iter().map(|resource| format!("+{}", resource.name));
        let taken = response.removed_resources.iter().map(|name| format!("-{name}"));
        (Kind::from_type_url(&response.type_url).unwrap(), given.chain(taken).collect::<Vec<_>>().join(" "))
    };
    responses.iter().map(line).collect()
}

/// A stream that has subscribed to everything of `names`, and has acknowledged it.
fn settled(resources: &Resources, names: &[&str]) -> Test {
    let mut session = session("envoy");
    for kind in [Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Routes] {
        for response in ask(&mut session, resources, subscribe(kind, names)) {
            assert_eq!(ask(&mut session, resources, answer(&response, None)), []);
        }
    }
    assert_eq!(session.generation(), resources.generation);
    session
}

#[test]
fn a_name_is_answered_and_a_missing_name_too() {
    let mut session = session("envoy");
    let responses = ask(&mut session, &resources(7, &[(A, 1)]), subscribe(Kind::Listener, &[A, B]));
    assert_eq!(summary(&responses), [(Kind::Listener, format!("+{A} -{B}"))]);
    assert_eq!(responses[0].system_version_info, "7");
    let responses = session.push(&resources(8, &[(A, 1), (B, 1)]));
    assert_eq!(summary(&responses), [(Kind::Listener, format!("+{B}"))]);
}

#[test]
fn an_update_is_made_before_the_old_is_broken() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A, B]);
    let newest = resources(2, &[(B, 1)]);
    let responses = session.push(&newest);
    assert_eq!(
        summary(&responses),
        [
            (Kind::Cluster, format!("+{B}")),
            (Kind::Endpoints, format!("+{B}")),
            (Kind::Listener, format!("+{B}")),
            (Kind::Routes, format!("+{B}")),
            (Kind::Listener, format!("-{A}")),
            (Kind::Routes, format!("-{A}")),
        ]
    );
    let mut rest = Vec::new();
    for response in &responses {
        assert_eq!(rest, []);
        assert_eq!(session.generation(), Generation(1));
        rest = ask(&mut session, &newest, answer(response, None));
    }
    assert_eq!(summary(&rest), [(Kind::Cluster, format!("-{A}")), (Kind::Endpoints, format!("-{A}"))]);
    for response in &rest {
        assert_eq!(session.generation(), Generation(1));
        assert_eq!(ask(&mut session, &newest, answer(response, None)), []);
    }
    assert_eq!(session.generation(), Generation(2));
}

#[test]
fn a_changed_cluster_is_followed_by_its_endpoints() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A]);
    let mut changed = snapshot(2, &[(A, 1)]);
    changed.backends.values_mut().for_each(|backend| backend.protocol = AppProtocol::Http2);
    let responses = session.push(&Resources::render(&changed));
    assert_eq!(summary(&responses), [(Kind::Cluster, format!("+{A}")), (Kind::Endpoints, format!("+{A}"))]);
}

#[test]
fn a_generation_without_news_is_reached_at_once() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A]);
    assert_eq!(session.push(&resources(2, &[(A, 1), (B, 1)])), []);
    assert_eq!(session.generation(), Generation(2));
}

#[test]
fn a_late_answer_counts_for_its_own_generation_only() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A]);
    let second = session.push(&resources(2, &[(A, 2)]));
    let newest = resources(3, &[(A, 3)]);
    let third = session.push(&newest);
    assert_eq!(ask(&mut session, &newest, answer(&third[0], None)), []);
    assert_eq!(session.generation(), Generation(1));
    assert_eq!(ask(&mut session, &newest, answer(&second[0], None)), []);
    assert_eq!(session.generation(), Generation(3));

    let fourth = session.push(&resources(4, &[(A, 4)]));
    let newest = resources(5, &[(A, 5)]);
    session.push(&newest);
    assert_eq!(ask(&mut session, &newest, answer(&fourth[0], None)), []);
    assert_eq!(session.generation(), Generation(4));
}

#[test]
fn a_refusal_holds_the_generation_until_it_is_mended() {
    let mut session = settled(&resources(1, &[(A, 1), (B, 1)]), &[A, B]);
    let second = resources(2, &[(A, 2), (B, 2)]);
    let refused = session.push(&second);
    assert_eq!(ask(&mut session, &second, answer(&refused[0], Some("no"))), [], "not again in a loop");
    assert_eq!((session.generation(), session.refusal()), (Generation(1), Some("no")));
    assert_eq!(session.push(&resources(3, &[(A, 2), (B, 2)])), []);
    assert_eq!(session.generation(), Generation(1));
    let fourth = resources(4, &[(A, 4), (B, 2)]);
    let mended = session.push(&fourth);
    assert_eq!(summary(&mended), [(Kind::Endpoints, format!("+{A}"))]);
    // Which of the two was refused is not known.
    let rest = ask(&mut session, &fourth, answer(&mended[0], None));
    assert_eq!(summary(&rest), [(Kind::Endpoints, format!("+{B}"))]);
    assert_eq!(session.generation(), Generation(1));
    assert_eq!(ask(&mut session, &fourth, answer(&rest[0], None)), []);
    assert_eq!((session.generation(), session.refusal()), (Generation(4), None));
}

#[test]
fn a_refusal_of_what_has_been_mended_meanwhile_holds_nothing() {
    let mut session = settled(&resources(1, &[(A, 1), (B, 1)]), &[A, B]);
    let refused = session.push(&resources(2, &[(A, 2), (B, 2)]));
    let third = resources(3, &[(A, 3), (B, 2)]);
    let mended = session.push(&third);
    assert_eq!(ask(&mut session, &third, answer(&refused[0], Some("no"))), []);
    let rest = ask(&mut session, &third, answer(&mended[0], None));
    assert_eq!(summary(&rest), [(Kind::Endpoints, format!("+{B}"))]);
    assert_eq!(ask(&mut session, &third, answer(&rest[0], None)), []);
    assert_eq!((session.generation(), session.refusal()), (Generation(3), None));
}

#[test]
fn an_unknown_nonce_answers_nothing() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A]);
    let newest = resources(2, &[(A, 2)]);
    let mut response = session.push(&newest).remove(0);
    response.nonce = "0".to_owned();
    assert_eq!(ask(&mut session, &newest, answer(&response, Some("no"))), []);
    assert_eq!((session.generation(), session.refusal()), (Generation(1), None));
}

#[test]
fn a_name_asked_for_again_is_sent_again() {
    let newest = resources(1, &[(A, 1)]);
    let mut session = settled(&newest, &[A, B]);
    let responses = ask(&mut session, &newest, subscribe(Kind::Routes, &[A, B]));
    assert_eq!(summary(&responses), [(Kind::Routes, format!("+{A} -{B}"))]);
}

#[test]
fn what_is_not_subscribed_to_is_not_sent() {
    let mut session = settled(&resources(1, &[(A, 1)]), &[A]);
    let mut request = subscribe(Kind::Endpoints, &[]);
    request.resource_names_unsubscribe = vec![A.to_owned()];
    let newest = resources(2, &[(A, 2)]);
    assert_eq!(ask(&mut session, &newest, request), []);
    assert_eq!(session.generation(), Generation(2));
}

#[test]
fn a_proxy_that_returns_is_sent_what_differs() {
    let old = resources(1, &[(A, 1), (B, 1)]);
    let versions = |kind: Kind| -> std::collections::HashMap<String, String> {
        [A, B].map(|name| (name.to_owned(), old.get(kind, name).unwrap().version.clone())).into()
    };
    let open = |newest: &Resources| {
        let mut session = session(USER_AGENT);
        let mut responses = Vec::new();
        for kind in [Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Routes] {
            let request = subscribe(kind, &[A, B]);
            let request = DeltaDiscoveryRequest { initial_resource_versions: versions(kind), ..request };
            responses.extend(ask(&mut session, newest, request));
            assert_eq!(session.generation(), Generation(0), "it has not said all that it holds");
        }
        responses.extend(ask(&mut session, newest, subscribe(Kind::Inbound, &[])));
        (summary(&responses), session.generation())
    };
    assert_eq!(open(&resources(2, &[(A, 1), (B, 1)])), (vec![], Generation(2)));
    let (sent, generation) = open(&resources(2, &[(A, 2)]));
    // The backend leaves after the routes to it.
    assert_eq!(generation, Generation(0));
    assert_eq!(
        sent,
        [(Kind::Endpoints, format!("+{A}")), (Kind::Listener, format!("-{B}")), (Kind::Routes, format!("-{B}")),]
    );
}

#[test]
fn envoy_may_ask_for_everything() {
    let newest = resources(1, &[(A, 1), (B, 1)]);
    let mut envoy = session("envoy");
    let responses = ask(&mut envoy, &newest, subscribe(Kind::Cluster, &[]));
    assert_eq!(summary(&responses), [(Kind::Cluster, format!("+{A} +{B}"))]);
    assert_eq!(ask(&mut envoy, &newest, answer(&responses[0], None)), []);
    assert_eq!(summary(&envoy.push(&resources(2, &[(A, 1)]))), [(Kind::Cluster, format!("-{B}"))]);

    // It waits for an answer even if there is nothing.
    let nothing = ask(&mut session("envoy"), &resources(1, &[]), subscribe(Kind::Listener, &[]));
    assert_eq!(summary(&nothing), [(Kind::Listener, String::new())]);

    // It comes back with its versions, and is still subscribed to everything.
    let mut envoy = session("envoy");
    let version = newest.get(Kind::Cluster, A).unwrap().version.clone();
    let mut request = subscribe(Kind::Cluster, &[]);
    request.initial_resource_versions = [(A.to_owned(), version), ("gone.shop:80".to_owned(), "1".to_owned())].into();
    let responses = ask(&mut envoy, &newest, request);
    assert_eq!(summary(&responses), [(Kind::Cluster, format!("+{B}")), (Kind::Cluster, "-gone.shop:80".to_owned()),]);
}

#[test]
fn leaving_every_name_is_not_asking_for_everything() {
    let newest = resources(1, &[(A, 1), (B, 1)]);
    let mut session = settled(&newest, &[A]);
    let mut request = subscribe(Kind::Cluster, &[]);
    request.resource_names_unsubscribe = vec![A.to_owned()];
    assert_eq!(ask(&mut session, &newest, request), []);
    assert_eq!(ask(&mut session, &newest, subscribe(Kind::Cluster, &[])), []);
}

#[test]
fn another_type_is_answered_and_forgotten() {
    let mut session = session("envoy");
    let mut request = subscribe(Kind::Cluster, &["x"]);
    request.type_url = "type.googleapis.com/other.Type".to_owned();
    let response = session.receive(request).unwrap().unwrap();
    assert_eq!(response.removed_resources, ["x"]);
    assert_eq!(session.receive(answer(&response, None)).unwrap(), None);
}

#[test]
fn the_inbound_of_another_instance_does_not_exist() {
    let mut newest = snapshot(1, &[]);
    newest.inbound = ["a-0", "b-0"].map(|name| (InstanceName(name.to_owned()), Inbound::default())).into();
    let newest = Resources::render(&newest);
    let mut session = session(USER_AGENT);
    for _again in 0..2 {
        let responses = ask(&mut session, &newest, subscribe(Kind::Inbound, &["a-0", "b-0"]));
        assert_eq!(summary(&responses), [(Kind::Inbound, "+a-0 -b-0".to_owned())]);
    }
}

#[test]
fn a_proxy_that_exceeds_the_limits_is_turned_away() {
    let names: Vec<String> = (0..=MAX_NAMES).map(|n| format!("s{n}.shop:80")).collect();
    let mut request = subscribe(Kind::Listener, &[]);
    request.resource_names_subscribe = names;
    assert_eq!(session("envoy").receive(request).unwrap_err().code(), tonic::Code::ResourceExhausted);

    let mut silent = session("envoy");
    let newest = resources(1, &[(A, 1)]);
    let mut last = Ok(None);
    for _response in 0..=MAX_UNANSWERED + 1 {
        last = silent.receive(subscribe(Kind::Listener, &[A]));
        silent.push(&newest);
    }
    assert_eq!(last.unwrap_err().code(), tonic::Code::ResourceExhausted);
}

#[test]
fn versions_are_those_of_the_content() {
    let version = |resources: &Resources, kind| resources.get(kind, A).unwrap().version.clone();
    let (one, two) = (resources(1, &[(A, 1)]), resources(2, &[(A, 2)]));
    assert_eq!(version(&one, Kind::Cluster), version(&two, Kind::Cluster));
    assert_ne!(version(&one, Kind::Endpoints), version(&two, Kind::Endpoints));
    assert_eq!(one, resources(1, &[(A, 1)]));
    let all: BTreeMap<Kind, usize> = Kind::UPSERTS.into_iter().map(|kind| (kind, one.names(kind).count())).collect();
    assert_eq!(all[&Kind::Routes], 2, "those of the service and of the edge");
}
