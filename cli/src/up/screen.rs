//! The ready screen: what runs, and lines to copy.

use std::collections::{BTreeMap, BTreeSet};

use samspill_model::intent::{EdgeRoute, Intent, PathMatch};
use samspill_model::name::WorkloadName;
use samspill_runtime::api::{InstanceView, StatusView};

use crate::table::narrow_table;

use super::launch::Launch;

const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// How the user stops the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It runs in the foreground.
    Keys,
    /// It runs in the background.
    Command,
}

/// A line to copy, and what to know about it.
struct Line {
    title: String,
    command: String,
    note: String,
}

/// The ready screen, for a terminal of `width` columns. A line to copy is never broken by us.
pub(super) fn screen(launch: &Launch, view: &StatusView, stop: Stop, width: usize, color: bool) -> String {
    let edge = view.edge.as_ref().map(|edge| format!("http://{}", edge.address));
    let mut text = format!("\n{}\n", services(&launch.intent, view, width));
    let lines = lines(launch, view, edge.as_deref(), stop);
    let titles = lines.iter().map(|line| line.title.chars().count()).max().unwrap_or(0);
    let (on, off) = if color { (BOLD, PLAIN) } else { ("", "") };
    for Line { title, command, note } in lines {
        text.push_str(&format!("{on}{title:titles$}{off}   {command}"));
        if !note.is_empty() {
            let fits = titles + 3 + command.chars().count() + 3 + note.chars().count() <= width;
            let indent = if fits { "   ".to_owned() } else { format!("\n{:titles$}   ", "") };
            text.push_str(&format!("{indent}({note})"));
        }
        text.push('\n');
    }
    text
}

fn services(intent: &Intent, view: &StatusView, width: usize) -> String {
    // Also what has no copy yet: it can be scaled.
    let mut by_workload: BTreeMap<WorkloadName, Vec<&InstanceView>> =
        intent.workloads.iter().map(|workload| (workload.name.clone(), Vec::new())).collect();
    for instance in &view.instances {
        by_workload.entry(WorkloadName::new(&instance.namespace, &instance.service)).or_default().push(instance);
    }
    let none = || "-".to_owned();
    let row = |(name, instances): (&WorkloadName, &Vec<&InstanceView>)| {
        let ready = instances.iter().filter(|instance| instance.ready).count();
        let mut versions: BTreeSet<&str> = instances.iter().map(|instance| instance.version.as_str()).collect();
        if versions.is_empty() {
            let of_files = intent.workloads.iter().filter(|workload| workload.name == *name);
            versions.extend(of_files.map(|workload| workload.version.as_str()));
        }
        let addresses = instances.iter().filter_map(|instance| instance.address).map(|address| address.to_string());
        vec![
            name.name.clone(),
            versions.into_iter().collect::<Vec<_>>().join(", "),
            format!("{ready}/{}", instances.len()),
            Some(addresses.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty()).unwrap_or_else(none),
            public_path(intent, name).unwrap_or_else(none),
        ]
    };
    let rows: Vec<_> = by_workload.iter().map(row).collect();
    narrow_table(&["SERVICE", "VERSION", "READY", "INSTANCES", "AT THE EDGE"], &rows, width)
}

/// Where strangers reach a workload: the shortest path that leads to it.
fn public_path(intent: &Intent, workload: &WorkloadName) -> Option<String> {
    let workload = intent.workloads.iter().find(|candidate| candidate.name == *workload)?;
    let leads_there = |route: &&EdgeRoute| {
        route.backends.iter().any(|backend| {
            let is_meant = |service: &&samspill_model::intent::Service| {
                service.name == backend.service.service && service.namespace == backend.service.namespace
            };
            intent.services.iter().filter(is_meant).any(|service| service.selects(workload))
        })
    };
    let paths = intent.routes.iter().filter(leads_there).map(path);
    paths.min_by_key(|path| path.len()).map(str::to_owned)
}

fn path(route: &EdgeRoute) -> &str {
    match &route.path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) => path,
    }
}

fn lines(launch: &Launch, view: &StatusView, edge: Option<&str>, stop: Stop) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut push = |title: &str, command: String, note: &str| {
        lines.push(Line { title: title.to_owned(), command, note: note.to_owned() });
    };
    if let Some(edge) = edge {
        if launch.intent.routes.iter().any(|route| path(route) == "/") {
            push("open the page", format!("{edge}/"), "");
        }
        for (title, command) in &launch.examples {
            push(title, command.replace("$(EDGE)", edge), "");
        }
        if let (true, Some(route)) = (launch.examples.is_empty(), launch.intent.routes.last()) {
            push("try it", format!("curl -i {edge}{}", path(route)), "");
        }
        push("follow it", launch.command.verb("trace ID"), "ID: the header `traceresponse` of an answer");
    }
    if let Some((instance, pid)) = victim(view) {
        let note = format!("{instance}: the others answer, and it is back in a moment");
        push("break it", format!("kill -9 {pid}"), &note);
    }
    push("look inside", launch.command.verb("get instances"), "or services, routes, certificates");
    push(
        "stop",
        match stop {
            Stop::Keys => "Ctrl-C".to_owned(),
            Stop::Command => launch.command.verb("down"),
        },
        "",
    );
    lines
}

/// An instance that is not the only one of its service.
fn victim(view: &StatusView) -> Option<(&str, u32)> {
    let has_others = |instance: &&InstanceView| {
        let same = |other: &&InstanceView| other.service == instance.service && other.namespace == instance.namespace;
        view.instances.iter().filter(same).count() > 1
    };
    let instance = view.instances.iter().find(has_others).or(view.instances.first())?;
    Some((&instance.instance, instance.pid?))
}
