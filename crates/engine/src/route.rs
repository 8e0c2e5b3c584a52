//! Chooses a backend by path, and rewrites the path.

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use rand::Rng;
use samspill_model::intent::{PathMatch, PathRewrite};
use samspill_model::name::ServicePort;
use samspill_model::snapshot::{RouteRule, RouteTable};

/// Where a request goes: a rule of a table, and one of the rule's backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    table: Arc<RouteTable>,
    rule: usize,
    share: usize,
}

impl Routed {
    /// Where to.
    pub fn backend(&self) -> &ServicePort {
        &self.table.rules[self.rule].backends[self.share].backend
    }

    /// The path of the rule: of few values, unlike the request's own.
    pub fn pattern(&self) -> &str {
        match &self.table.rules[self.rule].path {
            PathMatch::Exact(path) | PathMatch::Prefix(path) => path,
        }
    }
}

/// The first rule that is for `uri`'s path, one of its backends by weight; and the path and query to send there, where it
/// is another one.
///
/// `None`: no rule is for the path, or the rule has no backend with weight.
pub fn choose(table: &Arc<RouteTable>, uri: &Uri) -> Option<(Routed, Option<PathAndQuery>)> {
    // OPTIONS asks for the server as a whole by `*`, which is nobody's path.
    let path = if uri.path() == "*" { "/" } else { uri.path() };
    let number = table.rules.iter().position(|rule| matches(&rule.path, path))?;
    let rule = &table.rules[number];
    let routed = Routed { table: Arc::clone(table), rule: number, share: weighted(rule)? };
    let path = rule.rewrite.as_ref().and_then(|rewrite| rewritten(&rule.path, rewrite, uri));
    Some((routed, path))
}

fn matches(path_match: &PathMatch, path: &str) -> bool {
    match path_match {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => rest_after(prefix, path).is_some(),
    }
}

/// What follows the prefix, by path elements: empty, or beginning with a slash.
fn rest_after<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The position of the share that was drawn.
fn weighted(rule: &RouteRule) -> Option<usize> {
    match rule.backends.as_slice() {
        [only] => (only.weight > 0).then_some(0),
        several => {
            let total: u64 = several.iter().map(|share| u64::from(share.weight)).sum();
            let mut point = (total > 0).then(|| rand::rng().random_range(0..total))?;
            several.iter().position(|share| match point.checked_sub(u64::from(share.weight)) {
                Some(left) => {
                    point = left;
                    false
                }
                None => true,
            })
        }
    }
}

fn rewritten(path_match: &PathMatch, rewrite: &PathRewrite, uri: &Uri) -> Option<PathAndQuery> {
    let path: Cow<'_, str> = match (rewrite, path_match) {
        (PathRewrite::ReplaceFull(full), _) => full.as_str().into(),
        (PathRewrite::ReplacePrefix(to), PathMatch::Prefix(prefix)) => {
            let rest = rest_after(prefix, uri.path())?;
            match (to.trim_end_matches('/'), rest) {
                ("", "") => "/".into(),
                (to, rest) => format!("{to}{rest}").into(),
            }
        }
        (PathRewrite::ReplacePrefix(to), PathMatch::Exact(_)) => to.as_str().into(),
    };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    text.try_into().ok()
}

#[cfg(test)]
mod tests {
    use samspill_model::snapshot::WeightedBackend;

    use super::*;

    fn check(path: PathMatch, rewrite: Option<&str>, uri: &str, expected: Option<&str>) {
        let rule = RouteRule {
            path,
            rewrite: rewrite.map(|to| PathRewrite::ReplacePrefix(to.to_owned())),
            backends: vec![WeightedBackend { backend: ServicePort::new("a", "b", 80), weight: 1 }],
        };
        let table = Arc::new(RouteTable { rules: vec![rule] });
        let uri: Uri = uri.parse().unwrap();
        let sent = choose(&table, &uri)
            .map(|(_, path)| path.unwrap_or_else(|| uri.path_and_query().unwrap().clone()).to_string());
        assert_eq!(sent.as_deref(), expected, "{uri}");
    }

    #[test]
    fn a_prefix_is_of_path_elements() {
        let api = || PathMatch::Prefix("/api".into());
        check(api(), None, "/api", Some("/api"));
        check(api(), None, "/api/x?q=1", Some("/api/x?q=1"));
        check(api(), None, "/apix", None);
        check(PathMatch::Prefix("/".into()), None, "/anything", Some("/anything"));
        check(PathMatch::Prefix("/".into()), Some("/x"), "*", Some("*"));
        check(api(), None, "*", None);
        check(PathMatch::Exact("/api".into()), None, "/api/", None);
    }

    #[test]
    fn a_prefix_is_replaced_with_one_slash_between() {
        let api = || PathMatch::Prefix("/api/invoicing".into());
        check(api(), Some("/"), "/api/invoicing", Some("/"));
        check(api(), Some("/"), "/api/invoicing/v1/invoices?cursor=a%2Fb", Some("/v1/invoices?cursor=a%2Fb"));
        check(api(), Some("/x/"), "/api/invoicing/y", Some("/x/y"));
    }

    #[test]
    fn weights_share_and_zero_means_nowhere() {
        let share = |service: &str, weight| WeightedBackend { backend: ServicePort::new(service, "b", 80), weight };
        let rule = |backends| RouteRule { path: PathMatch::Prefix("/".into()), rewrite: None, backends };
        let uri = Uri::from_static("/");
        let table = |backends| Arc::new(RouteTable { rules: vec![rule(backends)] });
        let shared = table(vec![share("never", 0), share("a", 1), share("b", 1)]);
        let chosen: std::collections::BTreeSet<_> =
            (0..256).map(|_| choose(&shared, &uri).unwrap().0.backend().service.clone()).collect();
        assert_eq!(chosen.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(choose(&table(vec![share("never", 0)]), &uri), None);
    }
}
