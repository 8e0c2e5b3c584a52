//! `RouteConfiguration`: where calls go, by path.
//!
//! Some pairs of match and rewrite need other words in Envoy than in HTTPRoute, because Envoy replaces text and HTTPRoute
//! replaces path elements: `/api` → `/` must make `/x` of `/api/x`, not `//x`. The table is in the profile.

use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use samspill_model::intent::{PathMatch, PathRewrite};
use samspill_model::snapshot::{RouteRule, RouteTable, WeightedBackend};

use super::{Problem, Profile};
use crate::kind::Kind;

const WHOLE_PATH: &str = "^.*$";
const REGEX_SPECIAL: &str = r"\.+*?()|[]{}^$";

impl Profile for RouteTable {
    type Message = RouteConfiguration;
    const KIND: Kind = Kind::Routes;

    fn render(&self, name: &str) -> RouteConfiguration {
        let host = VirtualHost {
            name: name.to_owned(),
            domains: vec!["*".to_owned()],
            routes: self.rules.iter().map(render_rule).collect(),
            ..VirtualHost::default()
        };
        RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], ..RouteConfiguration::default() }
    }

    fn extract(message: &mut RouteConfiguration) -> Result<Self, Problem> {
        let routes = message.virtual_hosts.iter().flat_map(|host| &host.routes);
        Ok(Self { rules: routes.map(extract_rule).collect::<Result<_, _>>()? })
    }
}

fn render_rule(rule: &RouteRule) -> Route {
    let path = match &rule.path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Prefix(prefix) => match elements(prefix) {
            "" => PathSpecifier::Prefix("/".to_owned()),
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        },
    };
    let path = RouteMatch { path_specifier: Some(path), ..RouteMatch::default() };
    Route { r#match: Some(path), action: Some(render_action(rule)), ..Route::default() }
}

fn render_action(rule: &RouteRule) -> Action {
    if rule.backends.iter().all(|backend| backend.weight == 0) {
        return Action::DirectResponse(DirectResponseAction { status: 500, ..DirectResponseAction::default() });
    }
    let clusters = rule.backends.iter().map(|backend| ClusterWeight {
        name: backend.backend.to_string(),
        weight: Some(UInt32Value { value: backend.weight }),
        ..ClusterWeight::default()
    });
    let clusters = WeightedCluster { clusters: clusters.collect(), ..WeightedCluster::default() };
    let mut action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(clusters)),
        // None, where Envoy's default of 15 s would cut streams.
        timeout: Some(Duration::default()),
        ..RouteAction::default()
    };
    if let Some(rewrite) = &rule.rewrite {
        render_rewrite(&rule.path, rewrite, &mut action);
    }
    Action::Route(action)
}

fn render_rewrite(path: &PathMatch, rewrite: &PathRewrite, action: &mut RouteAction) {
    match (path, rewrite) {
        (PathMatch::Exact(_), PathRewrite::ReplacePrefix(new) | PathRewrite::ReplaceFull(new)) => {
            action.prefix_rewrite = rooted(new);
        }
        (PathMatch::Prefix(_), PathRewrite::ReplaceFull(new)) => {
            action.regex_rewrite = Some(regex(WHOLE_PATH.to_owned(), rooted(new).replace('\\', r"\\")));
        }
        (PathMatch::Prefix(prefix), PathRewrite::ReplacePrefix(new)) => match (elements(prefix), elements(new)) {
            ("", new) => action.prefix_rewrite = format!("{new}/"),
            (prefix, "") => action.regex_rewrite = Some(regex(format!("^{}/?", escaped(prefix)), "/".to_owned())),
            (_, new) => action.prefix_rewrite = new.to_owned(),
        },
    }
}

fn extract_rule(route: &Route) -> Result<RouteRule, Problem> {
    let problem = |problem: &str| Problem::Malformed(format!("a route {problem}: {route:?}"));
    let path = match route.r#match.as_ref().and_then(|path| path.path_specifier.as_ref()) {
        Some(PathSpecifier::Path(path)) => PathMatch::Exact(path.clone()),
        Some(PathSpecifier::Prefix(prefix)) if prefix == "/" => PathMatch::Prefix("/".to_owned()),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => PathMatch::Prefix(prefix.clone()),
        _ => return Err(problem("is matched by something else than path, path_separated_prefix or the prefix `/`")),
    };
    let action = match &route.action {
        Some(Action::Route(action)) => action,
        Some(Action::DirectResponse(_)) => return Ok(RouteRule { path, rewrite: None, backends: Vec::new() }),
        _ => return Err(problem("neither routes nor answers directly")),
    };
    let Some(ClusterSpecifier::WeightedClusters(clusters)) = &action.cluster_specifier else {
        return Err(problem("has no weighted_clusters"));
    };
    let backends = clusters.clusters.iter().map(extract_backend).collect::<Result<_, _>>()?;
    let rewrite = extract_rewrite(&path, action);
    Ok(RouteRule { path, rewrite, backends })
}

fn extract_backend(cluster: &ClusterWeight) -> Result<WeightedBackend, Problem> {
    let backend = cluster.name.parse().map_err(|error| Problem::Malformed(format!("a cluster of a route: {error}")))?;
    Ok(WeightedBackend { backend, weight: cluster.weight.as_ref().map_or(0, |weight| weight.value) })
}

/// The rewrite, in the one spelling that the model has for it.
fn extract_rewrite(path: &PathMatch, action: &RouteAction) -> Option<PathRewrite> {
    if let Some(rewrite) = &action.regex_rewrite {
        let whole = rewrite.pattern.as_ref().is_some_and(|pattern| pattern.regex == WHOLE_PATH);
        return Some(if whole {
            PathRewrite::ReplaceFull(rewrite.substitution.replace(r"\\", r"\"))
        } else {
            PathRewrite::ReplacePrefix("/".to_owned())
        });
    }
    let new = Some(action.prefix_rewrite.as_str()).filter(|new| !new.is_empty())?;
    Some(match path {
        PathMatch::Exact(_) => PathRewrite::ReplaceFull(new.to_owned()),
        PathMatch::Prefix(_) => PathRewrite::ReplacePrefix(rooted(elements(new))),
    })
}

fn regex(regex: String, substitution: String) -> RegexMatchAndSubstitute {
    let pattern = RegexMatcher { regex, ..RegexMatcher::default() };
    RegexMatchAndSubstitute { pattern: Some(pattern), substitution }
}

fn escaped(text: &str) -> String {
    let escape = |c: char| if REGEX_SPECIAL.contains(c) { format!(r"\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// A prefix as path elements: `/api/` is `/api`, and `/` is nothing.
fn elements(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

/// A path, which is never empty.
fn rooted(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}
