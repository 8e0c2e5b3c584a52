//! The variables of a program: from values, ConfigMaps, Secrets and the copy's own fields.
//!
//! What leaves here is a template: `$(NAME)` of a variable that only the runtime knows is still in it, and `$$` stands for one
//! dollar. Values that Kubernetes does not expand (those of ConfigMaps and Secrets) have their dollars doubled.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Catalogue;
use crate::kinds::Metadata;
use crate::kinds::container::{Container, VariableValue, is_variable_name};
use crate::kinds::deployment::Deployment;
use crate::mistake::{Mistake, closest, listed, quoted};
use crate::read::{Findings, Located};

/// What the runtime gives to every process and a manifest may refer to; also `PORT_<NAME>`.
const OF_RUNTIME: [&str; 10] = [
    "PORT",
    "SAMSPILL_OUTBOUND",
    "SAMSPILL_INSTANCE",
    "SAMSPILL_DATA_DIR",
    "SAMSPILL_DEVELOPMENT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "http_proxy",
    "no_proxy",
];
/// What of it a manifest must not set.
const RESERVED: [&str; 6] =
    ["SAMSPILL_OUTBOUND", "SAMSPILL_INSTANCE", "SAMSPILL_DATA_DIR", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
const FIELDS: [&str; 6] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.labels['<KEY>']",
    "spec.serviceAccountName",
    "status.podIP",
    "status.hostIP",
];

/// A value, as a template, and whether a Secret's value is in it.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) template: String,
    pub(crate) is_secret: bool,
}

pub(crate) type Variables = BTreeMap<String, Variable>;

/// All variables that a Deployment gives to its container.
pub(crate) fn variables(
    metadata: &Metadata,
    deployment: &Deployment,
    container: &Container,
    catalogue: &Catalogue,
    findings: &Findings,
) -> Variables {
    let namespace = metadata.namespace.as_str();
    let mut variables = Variables::new();
    for source in &container.env_from {
        let Some(values) = catalogue.values(source.kind, namespace, &source.name.value) else {
            if !source.optional {
                catalogue.missing_values(source.kind, &source.name, None, findings);
            }
            continue;
        };
        for (key, value) in values {
            let name = format!("{}{key}", source.prefix);
            if is_variable_name(&name) {
                let template = value.value.replace('$', "$$");
                set(&mut variables, name, template, source.kind == "Secret", &source.name, container, findings);
            } else {
                let message = format!("the key {} cannot be the name of a variable", quoted(&name));
                findings.mistake(Mistake::at(message, &source.name.at).also("the key is here", &value.at));
            }
        }
    }
    for variable in &container.env {
        let Some(value) = &variable.value else { continue };
        let (template, is_secret) = match value {
            VariableValue::Text(text) => expand(text, &variables, findings),
            VariableValue::Field(path) => (field(path, metadata, deployment, findings), false),
            VariableValue::Key(key) => {
                let values = catalogue.values(key.kind, namespace, &key.name.value);
                match values.and_then(|mut values| values.remove(&key.key.value)) {
                    Some(value) => (value.value.replace('$', "$$"), key.kind == "Secret"),
                    None if key.optional => continue,
                    None => {
                        catalogue.missing_values(key.kind, &key.name, Some((namespace, &key.key)), findings);
                        continue;
                    }
                }
            }
        };
        let name = variable.name.value.clone();
        set(&mut variables, name, template, is_secret, &variable.name, container, findings);
    }
    variables
}

/// Sets a variable, unless it is the runtime's to set.
fn set(
    variables: &mut Variables,
    name: String,
    template: String,
    is_secret: bool,
    at: &Located<String>,
    container: &Container,
    findings: &Findings,
) {
    if RESERVED.contains(&name.as_str()) {
        let message = format!("the variable {} is set by the runtime", quoted(&name));
        findings.mistake(Mistake::at(message, &at.at).hint("leave it out"));
        return;
    }
    let is_port = name == "PORT"
        || container.ports.iter().filter_map(|port| port.name.as_ref()).any(|port| name == port_variable(&port.value));
    if !is_port {
        variables.insert(name, Variable { template, is_secret });
    } else if container.ports.iter().any(|port| port.port.to_string() == template) {
        // True in a cluster, where each copy has an address of its own; here each copy gets another port.
        findings.cluster_only(format!("Deployment env {name}"), at.at.clone());
    } else {
        let message = format!("the value of {} is none of the container's ports", quoted(&name));
        findings.mistake(Mistake::at(message, &at.at).hint("leave it out: the runtime sets it"));
    }
}

/// `PORT_<NAME>` of a port's name.
fn port_variable(port: &str) -> String {
    format!("PORT_{}", port.to_uppercase().replace('-', "_"))
}

/// Puts known variables in place of `$(NAME)`, as Kubernetes does; says whether one of them is secret.
pub(crate) fn expand(text: &Located<String>, known: &Variables, findings: &Findings) -> (String, bool) {
    let mut expanded = String::with_capacity(text.value.len());
    let mut is_secret = false;
    let mut rest = text.value.as_str();
    while let Some(start) = rest.find('$') {
        expanded.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push_str("$$");
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')')) else {
            expanded.push('$');
            rest = &rest[1..];
            continue;
        };
        match known.get(name) {
            Some(variable) => {
                expanded.push_str(&variable.template);
                is_secret |= variable.is_secret;
            }
            None => {
                warn_of_unknown(name, text, known, findings);
                expanded.push_str(&rest[..name.len() + 3]);
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    (expanded, is_secret)
}

fn warn_of_unknown(name: &str, text: &Located<String>, known: &Variables, findings: &Findings) {
    if OF_RUNTIME.contains(&name) || name.starts_with("PORT_") {
        return;
    }
    let names = known.keys().map(String::as_str).chain(OF_RUNTIME);
    let message = format!("no variable {} is known here, so the text stays as it is", quoted(name));
    findings.warn(Mistake::at(message, &text.at).did_you_mean(closest(name, names)));
}

/// The downward API, as far as it has a meaning here.
fn field(path: &Located<String>, metadata: &Metadata, deployment: &Deployment, findings: &Findings) -> String {
    let label = || path.value.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
    match path.value.as_str() {
        "metadata.name" => "$(SAMSPILL_INSTANCE)".to_owned(),
        "metadata.namespace" => metadata.namespace.clone(),
        "spec.serviceAccountName" => {
            deployment.service_account.as_ref().map_or_else(|| "default".to_owned(), |account| account.value.clone())
        }
        "status.podIP" | "status.hostIP" => "127.0.0.1".to_owned(),
        _ => match label() {
            // A label that is not there is the empty string, as in Kubernetes.
            Some(key) => deployment.labels.get(key).map(|label| label.value.replace('$', "$$")).unwrap_or_default(),
            None => {
                let message = format!("{} is not supported here", quoted(&path.value));
                findings.mistake(Mistake::at(message, &path.at).expected(listed(FIELDS)));
                String::new()
            }
        },
    }
}

/// The names of the variables that hold a Secret's value.
pub(crate) fn secret_names(variables: &Variables) -> Vec<String> {
    let names: BTreeSet<_> =
        variables.iter().filter(|(_, variable)| variable.is_secret).map(|(name, _)| name.clone()).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mistake::{Place, Source};

    #[test]
    fn known_variables_are_expanded_and_the_rest_is_left() {
        let source = Arc::new(Source { name: "a.yaml".to_owned(), text: String::new() });
        let variable = |template: &str, is_secret| Variable { template: template.to_owned(), is_secret };
        let known = Variables::from([
            ("HOST".to_owned(), variable("db", false)),
            ("PASSWORD".to_owned(), variable("a$$b", true)),
        ]);
        for (text, expected, is_secret, warnings) in [
            ("sqlite://$(SAMSPILL_DATA_DIR)/x.db", "sqlite://$(SAMSPILL_DATA_DIR)/x.db", false, 0),
            ("$(HOST):$(PORT_GRPC)", "db:$(PORT_GRPC)", false, 0),
            ("u:$(PASSWORD)@$(HOST)", "u:a$$b@db", true, 0),
            ("$$(HOST) $HOST $", "$$(HOST) $HOST $", false, 0),
            ("$(HOTS) $(", "$(HOTS) $(", false, 1),
        ] {
            let findings = Findings::default();
            let text = Located { value: text.to_owned(), at: Place::file(&source) };
            assert_eq!(expand(&text, &known, &findings), (expected.to_owned(), is_secret));
            assert_eq!(findings.warnings.borrow().len(), warnings, "{}", text.value);
        }
    }
}
