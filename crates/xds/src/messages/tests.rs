//! Every value survives the way through a message; every other message is refused by name.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::google::protobuf::{BoolValue, Duration};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::{Just, Strategy, any as arbitrary, prop, prop_assert_eq, prop_oneof, proptest};
use prost::Name;
use samspill_model::identity::SpiffeId;
use samspill_model::intent::{AppProtocol, PathMatch, PathRewrite};
use samspill_model::name::ServicePort;
use samspill_model::snapshot::{Inbound, InboundPort, RouteRule, RouteTable, WeightedBackend};

use super::{Endpoints, Exists, Profile, Target, any, pack, parse};
use crate::proto;

const NAME: &str = "parcel-booking.craterate:80";

fn service() -> impl Strategy<Value = ServicePort> {
    ("[a-z]([a-z0-9-]{0,8}[a-z0-9])?", "[a-z]{1,5}", arbitrary::<u16>())
        .prop_map(|(service, namespace, port)| ServicePort::new(service, namespace, port))
}

fn protocol() -> impl Strategy<Value = AppProtocol> {
    prop_oneof![Just(AppProtocol::Http1), Just(AppProtocol::Http2)]
}

/// A path without a trailing slash, with everything that is special in a regex or a substitution.
fn path() -> impl Strategy<Value = String> {
    r"(/[a-zA-Z0-9.+*()|{}\[\]^$\\%æ-]{1,6}){1,3}"
}

fn rule() -> impl Strategy<Value = RouteRule> {
    let rooted = || prop_oneof![path(), Just("/".to_owned())];
    let full = || rooted().prop_map(PathRewrite::ReplaceFull);
    let either = prop_oneof![full(), rooted().prop_map(PathRewrite::ReplacePrefix)];
    let matched = prop_oneof![
        (rooted().prop_map(PathMatch::Exact), prop::option::of(full())),
        (rooted().prop_map(PathMatch::Prefix), prop::option::of(either)),
    ];
    let backend = (service(), 0..10_u32).prop_map(|(backend, weight)| WeightedBackend { backend, weight });
    (matched, vec(backend, 0..4)).prop_map(|((path, rewrite), backends)| {
        let nowhere = backends.iter().all(|backend| backend.weight == 0);
        let (rewrite, backends) = if nowhere { (None, Vec::new()) } else { (rewrite, backends) };
        RouteRule { path, rewrite, backends }
    })
}

proptest! {
    #[test]
    fn routes_read_back(rules in vec(rule(), 0..6)) {
        let routes = RouteTable { rules };
        prop_assert_eq!(parse(NAME, Some(&pack(NAME, &routes))), Ok(routes));
    }

    #[test]
    fn targets_read_back(protocol in protocol(), accounts in btree_set("[a-z]{1,9}", 0..4)) {
        let identities = accounts.into_iter().map(|account| SpiffeId::new("samspill.local", "craterate", account));
        let target = Target { protocol, identities: identities.collect() };
        prop_assert_eq!(parse(NAME, Some(&pack(NAME, &target))), Ok(target));
    }

    #[test]
    fn endpoints_read_back(addresses in btree_set(arbitrary::<(std::net::IpAddr, u16)>(), 0..6)) {
        let endpoints = Endpoints(addresses.into_iter().map(Into::into).collect());
        prop_assert_eq!(parse(NAME, Some(&pack(NAME, &endpoints))), Ok(endpoints));
    }

    #[test]
    fn inbound_reads_back(ports in btree_map(arbitrary::<u16>(), (arbitrary::<(std::net::IpAddr, u16)>(), protocol()), 0..4)) {
        let port = |(number, (app, protocol)): (u16, ((std::net::IpAddr, u16), AppProtocol))| {
            (number, InboundPort { app: app.into(), protocol })
        };
        let inbound = Inbound { ports: ports.into_iter().map(port).collect() };
        prop_assert_eq!(parse("parcel-booking-0", Some(&pack("parcel-booking-0", &inbound))), Ok(inbound));
    }

    #[test]
    fn no_bytes_bring_the_parser_down(bytes in vec(arbitrary::<u8>(), 0..64)) {
        let mut payload = pack(NAME, &Exists);
        payload.value.extend(bytes);
        drop(parse::<Exists>(NAME, Some(&payload)));
        payload.type_url = Cluster::type_url();
        drop(parse::<Target>(NAME, Some(&payload)));
    }
}

/// Renders `value`, changes the message, and expects a refusal that says `reason`.
#[track_caller]
fn refuse<P: Profile + std::fmt::Debug>(value: &P, change: impl FnOnce(&mut P::Message), reason: &str) {
    let mut message = value.render(NAME);
    change(&mut message);
    let refusal = parse::<P>(NAME, Some(&any(&message))).unwrap_err().to_string();
    assert!(refusal.contains(reason), "{refusal}");
    assert!(refusal.contains(NAME), "{refusal}");
}

fn routes() -> RouteTable {
    let backends = vec![WeightedBackend { backend: NAME.parse().unwrap(), weight: 1 }];
    RouteTable { rules: vec![RouteRule { path: PathMatch::Prefix("/".to_owned()), rewrite: None, backends }] }
}

#[test]
fn a_field_outside_of_the_profile_is_named() {
    let timeout = |message: &mut RouteConfiguration| {
        let Some(Action::Route(action)) = &mut message.virtual_hosts[0].routes[0].action else { panic!() };
        action.timeout = Some(Duration { seconds: 15, nanos: 0 });
    };
    refuse(
        &routes(),
        timeout,
        "`virtual_hosts.routes.action.timeout.seconds` is outside of the profile, found `seconds: 15,`",
    );
    let case = |message: &mut RouteConfiguration| {
        message.virtual_hosts[0].routes[0].r#match.as_mut().unwrap().case_sensitive = Some(BoolValue { value: false });
    };
    refuse(&routes(), case, "virtual_hosts.routes.match.case_sensitive");
    let two_hosts = |message: &mut RouteConfiguration| message.virtual_hosts.push(message.virtual_hosts[0].clone());
    refuse(&routes(), two_hosts, "virtual_hosts");
    refuse(&Exists, |message: &mut Listener| message.stat_prefix = "x".to_owned(), "stat_prefix");
    refuse(&routes(), |message: &mut RouteConfiguration| message.name = "other.craterate:80".to_owned(), "`name`");

    let target = Target { protocol: AppProtocol::Http1, identities: Vec::new() };
    refuse(&target, |message: &mut Cluster| message.lb_policy = 3, "lb_policy");
    refuse(&target, |message: &mut Cluster| message.transport_socket = None, "there is no UpstreamTlsContext");
}

#[test]
fn endpoints_in_disorder_are_refused() {
    let endpoints = Endpoints(vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()]);
    refuse(
        &endpoints,
        |message: &mut ClusterLoadAssignment| message.endpoints[0].lb_endpoints.reverse(),
        "address.port_specifier",
    );
    refuse(&endpoints, |message: &mut ClusterLoadAssignment| message.endpoints[0].priority = 1, "endpoints.priority");
}

#[test]
fn an_inbound_port_needs_a_protocol() {
    let mut message = proto::Inbound::default();
    message.ports.insert(8080, proto::Port { app: "127.0.0.1:1".to_owned(), protocol: 0 });
    let refusal = parse::<Inbound>("a-0", Some(&any(&message))).unwrap_err().to_string();
    assert_eq!(refusal, "samspill.v1.Inbound `a-0`: no protocol for 127.0.0.1:1");
}

#[test]
fn another_payload_is_refused() {
    let payload = pack(NAME, &Endpoints(Vec::new()));
    assert!(parse::<Exists>(NAME, Some(&payload)).is_err());
    assert!(parse::<Exists>(NAME, None).is_err());
}

/// Nobody is not anybody: an empty list of matchers lets every certificate of the mesh through in Envoy.
#[test]
fn a_backend_without_identities_matches_nobody() {
    let nobody = Target { protocol: AppProtocol::Http1, identities: Vec::new() };
    let bytes = pack(NAME, &nobody).value;
    assert!(String::from_utf8_lossy(&bytes).contains("urn:samspill:nobody"));
    assert_eq!(parse(NAME, Some(&pack(NAME, &nobody))), Ok(nobody));
}

#[test]
fn rewrites_mean_in_envoy_what_they_mean_in_a_route() {
    let rewrite = |path: PathMatch, rewrite: PathRewrite| {
        let mut routes = routes();
        (routes.rules[0].path, routes.rules[0].rewrite) = (path, Some(rewrite));
        let message = routes.render(NAME);
        let Some(Action::Route(action)) = message.virtual_hosts[0].routes[0].action.clone() else { panic!() };
        let regex = action.regex_rewrite.map(|rewrite| (rewrite.pattern.unwrap().regex, rewrite.substitution));
        (action.prefix_rewrite, regex)
    };
    let prefix = |path: &str| PathMatch::Prefix(path.to_owned());
    let replace = |path: &str| PathRewrite::ReplacePrefix(path.to_owned());
    let regex = |regex: &str, to: &str| (String::new(), Some((regex.to_owned(), to.to_owned())));
    assert_eq!(rewrite(prefix("/api/v1.0/"), replace("/")), regex(r"^/api/v1\.0/?", "/"));
    assert_eq!(rewrite(prefix("/api"), replace("/v2/")), ("/v2".to_owned(), None));
    assert_eq!(rewrite(prefix("/"), replace("/v2")), ("/v2/".to_owned(), None));
    assert_eq!(rewrite(prefix("/api"), PathRewrite::ReplaceFull(r"/\1".to_owned())), regex("^.*$", r"/\\1"));
    assert_eq!(
        rewrite(PathMatch::Exact("/a".to_owned()), PathRewrite::ReplaceFull("/b".to_owned())),
        ("/b".to_owned(), None)
    );
}

#[test]
fn equal_content_has_equal_bytes() {
    let port = |port: u16| InboundPort { app: ([127, 0, 0, 1], port).into(), protocol: AppProtocol::Http1 };
    let inbound = Inbound { ports: (1..100).map(|number| (number, port(number))).collect::<BTreeMap<_, _>>() };
    assert_eq!(pack("a-0", &inbound), pack("a-0", &inbound.clone()));
}
