//! What another intent changes, in sentences for whoever typed `up`.

use std::collections::{BTreeMap, BTreeSet};

use samspill_model::intent::{Intent, Service, Workload};

use crate::planner::Overrides;

/// One sentence per difference, none for the first intent of all. Values are not shown: some are secrets.
pub(crate) fn describe(before: Option<&Intent>, overrides: &Overrides, after: &Intent) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
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
    if before.routes != after.routes {
        sentences.push("the routes of the edge have changed".to_owned());
    }
    sentences
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
        ("environment", old.program.env != new.program.env || old.program.secret_env != new.program.secret_env),
        ("ports", old.ports != new.ports),
        ("probes", old.readiness != new.readiness || old.liveness != new.liveness),
        ("grace period", old.termination_grace_seconds != new.termination_grace_seconds),
    ];
    let changed: Vec<&str> = differences.iter().filter(|(_what, differs)| *differs).map(|(what, _)| *what).collect();
    (!changed.is_empty()).then(|| format!("{name} has another {}", changed.join(", ")))
}

fn copies(replicas: u32) -> String {
    if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") }
}

#[cfg(test)]
mod tests {
    use samspill_model::name::WorkloadName;

    use super::*;
    use crate::fixtures;

    #[test]
    fn the_first_intent_changes_nothing() {
        assert!(describe(None, &Overrides::new(), &fixtures::intent("invoicing", 2)).is_empty());
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
        let overrides = Overrides::from([(WorkloadName::new("craterate", "invoicing"), 5)]);
        assert_eq!(
            describe(Some(&before), &overrides, &after),
            [
                "craterate/booking is no longer in the files and is stopped",
                "craterate/invoicing was scaled to 5 by hand and has 2 replicas again, as the files say",
                "craterate/invoicing has another version, environment",
                "craterate/statistics is new, with 1 replica",
                "craterate/tracking has 1 replica instead of 3",
                "service craterate/invoicing is no longer in the files",
            ]
        );
        assert!(describe(Some(&after), &Overrides::new(), &after).is_empty());
    }
}
