//! What another intent changes, in sentences for whoever typed `up`.

use std::collections::{BTreeMap, BTreeSet};

use samspill_model::intent::{EdgeRoute, Intent, PathMatch, Program, Service, Workload};

use crate::planner::Overrides;

/// One sentence per difference, or one for all that is in the first intent. Values are not shown: some are secrets.
pub(crate) fn describe(before: Option<&Intent>, overrides: &Overrides, after: &Intent) -> Vec<String> {
    let Some(before) = before else { return vec![all_new(after)] };
    let mut sentences = Vec::new();
    let workloads = |intent: &Intent| intent.workloads.iter().map(|w| (w.name.to_string(), w.clone())).collect();
    pairs(workloads(before), workloads(after), |name, pair| {
        sentences.extend(match pair {
            (None, Some(new)) => vec![format!("{name} is new, with {}", copies(new.replicas))],
            (Some(_old), None) => vec![format!("{name} is no longer in the files and is stopped")],
            (Some(old), Some(new)) => {
                let scaled = overrides.get(&old.name).copied();
                replicas(name, scaled, &old, &new).into_iter().chain(program(name, &old, &new)).collect()
            }
            (None, None) => Vec::new(),
        });
    });
    let services = |intent: &Intent| {
        let key = |service: &Service| format!("{}/{}", service.namespace, service.name);
        intent.services.iter().map(|service| (key(service), service.clone())).collect()
    };
    pairs(services(before), services(after), |name, pair| {
        sentences.extend(match pair {
            (None, Some(_new)) => Some(format!("service {name} is new")),
            (Some(_old), None) => Some(format!("service {name} is no longer in the files")),
            (Some(old), Some(new)) if old != new => Some(format!("service {name} has changed")),
            _ => None,
        });
    });
    let routes = |intent: &Intent| intent.routes.iter().map(|route| (path(route), route.clone())).collect();
    pairs(routes(before), routes(after), |path, pair| {
        sentences.extend(match pair {
            (None, Some(_new)) => Some(format!("the route of {path} is new")),
            (Some(_old), None) => Some(format!("the route of {path} is no longer in the files")),
            (Some(old), Some(new)) if old != new => Some(format!("the route of {path} has changed")),
            _ => None,
        });
    });
    sentences
}

fn all_new(intent: &Intent) -> String {
    let contents =
        [(intent.workloads.len(), "workload"), (intent.services.len(), "service"), (intent.routes.len(), "route")];
    let some = contents.iter().filter(|(count, _what)| *count > 0);
    let parts: Vec<String> = some.map(|(count, what)| counted(*count, what)).collect();
    match &parts[..] {
        [] => "the files want nothing to run".to_owned(),
        [one] => format!("new in this state folder: {one}"),
        [first @ .., last] => format!("new in this state folder: {} and {last}", first.join(", ")),
    }
}

/// A path is matched once in all files.
fn path(route: &EdgeRoute) -> String {
    match &route.path {
        PathMatch::Prefix(path) => path.clone(),
        PathMatch::Exact(path) => format!("exactly {path}"),
    }
}

/// Visits what is in one of them or in both, by name.
fn pairs<T>(
    mut before: BTreeMap<String, T>,
    mut after: BTreeMap<String, T>,
    mut visit: impl FnMut(&str, (Option<T>, Option<T>)),
) {
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    for name in names {
        visit(&name, (before.remove(&name), after.remove(&name)));
    }
}

fn replicas(name: &str, scaled: Option<u32>, old: &Workload, new: &Workload) -> Option<String> {
    match scaled {
        Some(scaled) if scaled != new.replicas => {
            let files = copies(new.replicas);
            Some(format!("{name} was scaled to {scaled} by hand and has {files} again, as the files say"))
        }
        None if old.replicas != new.replicas => {
            Some(format!("{name} has {} instead of {}", copies(new.replicas), old.replicas))
        }
        _ => None,
    }
}

fn program(name: &str, old: &Workload, new: &Workload) -> Option<String> {
    let differences = [
        ("version", old.version != new.version),
        ("service account", old.service_account != new.service_account),
        ("labels", old.labels != new.labels),
        ("command", old.program.executable != new.program.executable || old.program.args != new.program.args),
        ("working directory", old.program.working_dir != new.program.working_dir),
        ("ports", old.ports != new.ports),
        ("probes", old.readiness != new.readiness || old.liveness != new.liveness),
        ("grace period", old.termination_grace_seconds != new.termination_grace_seconds),
    ];
    let changed = differences.iter().filter(|(_what, differs)| *differs).map(|(what, _)| (*what).to_owned());
    let changed: Vec<String> = changed.chain(environment(&old.program, &new.program)).collect();
    (!changed.is_empty()).then(|| format!("{name} has another {}", changed.join(", ")))
}

/// The names of the variables that differ.
fn environment(old: &Program, new: &Program) -> Option<String> {
    let names: BTreeSet<&str> = old.env.keys().chain(new.env.keys()).map(String::as_str).collect();
    let differ = |name: &&str| old.env.get(*name) != new.env.get(*name);
    let differing: Vec<&str> = names.into_iter().filter(differ).collect();
    (!differing.is_empty()).then(|| format!("environment ({})", differing.join(", ")))
}

fn copies(replicas: u32) -> String {
    counted(replicas.try_into().unwrap_or(usize::MAX), "replica")
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use samspill_model::intent::WeightedService;
    use samspill_model::name::{ServicePort, WorkloadName};

    use super::*;
    use crate::fixtures;

    #[test]
    fn the_first_intent_is_told_in_one_sentence() {
        let mut intent = fixtures::intent("invoicing", 2);
        intent.workloads.push(fixtures::workload("booking", 1));
        assert_eq!(describe(None, &Overrides::new(), &intent), ["new in this state folder: 2 workloads and 1 service"]);
        intent.routes.push(route("/", 1));
        assert_eq!(
            describe(None, &Overrides::new(), &intent),
            ["new in this state folder: 2 workloads, 1 service and 1 route"]
        );
        assert_eq!(describe(None, &Overrides::new(), &Intent::default()), ["the files want nothing to run"]);
    }

    fn route(path: &str, weight: u32) -> EdgeRoute {
        EdgeRoute {
            route: "craterate/edge".to_owned(),
            path: PathMatch::Prefix(path.to_owned()),
            rewrite: None,
            backends: vec![WeightedService { service: ServicePort::new("invoicing", "craterate", 80), weight }],
        }
    }

    #[test]
    fn every_difference_is_named_and_no_value_is_shown() {
        let mut before = fixtures::intent("invoicing", 2);
        before.workloads.push(fixtures::workload("booking", 1));
        before.workloads.push(fixtures::workload("tracking", 3));
        let mut after = fixtures::intent("invoicing", 2);
        after.workloads[0].program.env.insert("PASSWORD".to_owned(), "crates".to_owned());
        after.workloads[0].version = "2".to_owned();
        after.workloads.push(fixtures::workload("tracking", 1));
        after.workloads.push(fixtures::workload("statistics", 1));
        after.services.clear();
        before.routes = vec![route("/", 1), route("/a", 1), route("/b", 1)];
        after.routes = vec![route("/c", 1), route("/b", 2), route("/", 1)];
        let overrides = Overrides::from([(WorkloadName::new("craterate", "invoicing"), 5)]);
        assert_eq!(
            describe(Some(&before), &overrides, &after),
            [
                "craterate/booking is no longer in the files and is stopped",
                "craterate/invoicing was scaled to 5 by hand and has 2 replicas again, as the files say",
                "craterate/invoicing has another version, environment (PASSWORD)",
                "craterate/statistics is new, with 1 replica",
                "craterate/tracking has 1 replica instead of 3",
                "service craterate/invoicing is no longer in the files",
                "the route of /a is no longer in the files",
                "the route of /b has changed",
                "the route of /c is new",
            ]
        );
        assert!(describe(Some(&after), &Overrides::new(), &after).is_empty());
    }
}
