//! Readiness and liveness probes.

use crate::read::{Item, PortRef};

use super::deployment::MAX_SECONDS;

#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) at: crate::mistake::Place,
    pub(crate) check: Option<Check>,
    pub(crate) initial_delay_seconds: u32,
    pub(crate) period_seconds: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) success_threshold: u32,
    pub(crate) failure_threshold: u32,
}

#[derive(Debug)]
pub(crate) enum Check {
    Http { path: String, port: PortRef, headers: Vec<(String, String)> },
    Tcp { port: PortRef },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Readiness,
    Liveness,
}

pub(crate) fn read(item: &Item<'_>, role: Role) -> Probe {
    let mut fields = item.fields();
    let http = fields.optional("httpGet").map(|item| http_get(&item));
    let tcp = fields.optional("tcpSocket").map(|item| tcp_socket(&item));
    let mut number =
        |name, range, default| fields.optional(name).and_then(|item: Item<'_>| item.integer(range)).unwrap_or(default);
    // The defaults are Kubernetes'.
    let initial_delay_seconds = number("initialDelaySeconds", 0..=MAX_SECONDS, 0);
    let period_seconds = number("periodSeconds", 1..=MAX_SECONDS, 10);
    let timeout_seconds = number("timeoutSeconds", 1..=MAX_SECONDS, 1);
    let failure_threshold = number("failureThreshold", 1..=1000, 3);
    let most_successes = if role == Role::Liveness { 1 } else { 1000 };
    let success_threshold = number("successThreshold", 1..=most_successes, 1);
    for name in ["exec", "grpc"] {
        fields.unsupported(name, "probe by `httpGet` or `tcpSocket`");
    }
    fields.unsupported("terminationGracePeriodSeconds", "the pod's own terminationGracePeriodSeconds is used");
    let other = fields.has("exec") || fields.has("grpc");
    fields.finish();
    let check = match (http, tcp) {
        (Some(check), None) | (None, Some(check)) => check,
        (None, None) => {
            if !other {
                item.report(item.mistake("the probe asks nothing").expected("`httpGet` or `tcpSocket`"));
            }
            None
        }
        (Some(_), Some(_)) => {
            item.report(item.mistake("`httpGet` and `tcpSocket` exclude each other").hint("leave one of them out"));
            None
        }
    };
    Probe {
        at: item.place(),
        check,
        initial_delay_seconds,
        period_seconds,
        timeout_seconds,
        success_threshold,
        failure_threshold,
    }
}

fn http_get(item: &Item<'_>) -> Option<Check> {
    let mut fields = item.fields();
    let port = fields.required("port").and_then(|item| item.port_or_name());
    let path = match fields.optional("path") {
        None => Some("/".to_owned()),
        Some(item) => item.string().and_then(|path| {
            let is_target = path.value.starts_with('/') && path.value.bytes().all(|c| c.is_ascii_graphic());
            if !is_target {
                item.report(item.mistake("this is no path").expected("`/`, then ASCII without spaces"));
            }
            is_target.then_some(path.value)
        }),
    };
    let headers = fields.optional("httpHeaders").map(|item| item.items()).unwrap_or_default();
    let headers = headers.iter().filter_map(header).collect();
    fields.optional("scheme").map(|item| item.one_of(&["HTTP"]));
    fields.unsupported("host", "the copy itself is asked; set a `Host` in httpHeaders");
    fields.finish();
    Some(Check::Http { path: path?, port: port?, headers })
}

fn header(item: &Item<'_>) -> Option<(String, String)> {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| {
        let name = item.string()?;
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.value.is_empty() || !name.value.bytes().all(token) {
            item.report(item.mistake("this is no name of a header"));
            return None;
        }
        Some(name.value)
    });
    let value = fields.required("value").and_then(|item| {
        let value = item.string()?;
        if value.value.chars().any(char::is_control) {
            item.report(item.mistake("a header cannot hold control characters"));
            return None;
        }
        Some(value.value)
    });
    fields.finish();
    Some((name?, value?))
}

fn tcp_socket(item: &Item<'_>) -> Option<Check> {
    let mut fields = item.fields();
    let port = fields.required("port").and_then(|item| item.port_or_name());
    fields.unsupported("host", "the copy itself is asked");
    fields.finish();
    Some(Check::Tcp { port: port? })
}
