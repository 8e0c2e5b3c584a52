//! A container: image, command, environment, ports, probes.

use crate::mistake::{listed, quoted};
use crate::read::{Fields, Item, Located, PortRef};

use super::probe::{self, Probe};
use super::refuse_repeated;

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) image: Option<Located<String>>,
    pub(crate) command: Vec<Located<String>>,
    pub(crate) args: Vec<Located<String>>,
    pub(crate) ports: Vec<Port>,
    /// Whether every port that is written is in `ports`.
    pub(crate) all_ports_read: bool,
    pub(crate) env: Vec<Variable>,
    pub(crate) env_from: Vec<EnvFrom>,
    pub(crate) readiness: Option<Probe>,
    pub(crate) liveness: Option<Probe>,
}

#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) name: Option<Located<String>>,
    pub(crate) port: u16,
    pub(crate) at: crate::mistake::Place,
}

#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: Located<String>,
    /// `None` has been reported.
    pub(crate) value: Option<VariableValue>,
}

#[derive(Debug)]
pub(crate) enum VariableValue {
    Text(Located<String>),
    Key(KeyRef),
    /// Namespace, name and the like of the copy itself.
    Field(Located<String>),
}

/// A key of a ConfigMap or Secret.
#[derive(Debug)]
pub(crate) struct KeyRef {
    pub(crate) kind: &'static str,
    pub(crate) name: Located<String>,
    pub(crate) key: Located<String>,
    pub(crate) optional: bool,
}

/// All keys of a ConfigMap or Secret.
#[derive(Debug)]
pub(crate) struct EnvFrom {
    pub(crate) kind: &'static str,
    pub(crate) name: Located<String>,
    pub(crate) prefix: String,
    pub(crate) optional: bool,
}

impl Container {
    /// The number of a declared port.
    pub(crate) fn port(&self, port: &PortRef) -> Option<u16> {
        let found = self.ports.iter().find(|candidate| match port {
            PortRef::Number(number) => candidate.port == number.value,
            PortRef::Name(name) => candidate.name.as_ref().is_some_and(|candidate| candidate.value == name.value),
        });
        found.map(|port| port.port)
    }
}

pub(crate) fn read(item: &Item<'_>) -> Container {
    let mut fields = item.fields();
    fields.required("name").map(|item| item.label());
    let image = fields.required("image").and_then(|item| image(&item));
    let command = strings(&mut fields, "command");
    let args = strings(&mut fields, "args");
    let written_ports = fields.optional("ports");
    let is_list = written_ports.as_ref().is_none_or(Item::is_list);
    let written_ports = written_ports.map(|item| item.items()).unwrap_or_default();
    let ports: Vec<Port> = written_ports.iter().filter_map(port).collect();
    let all_ports_read = is_list && ports.len() == written_ports.len();
    let env = list(&mut fields, "env", variable);
    let env_from = list(&mut fields, "envFrom", env_from);
    let readiness = fields.optional("readinessProbe").map(|item| probe::read(&item, probe::Role::Readiness));
    let liveness = fields.optional("livenessProbe").map(|item| probe::read(&item, probe::Role::Liveness));
    fields.cluster_only(&[
        "imagePullPolicy",
        "resources",
        "securityContext",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "workingDir",
    ]);
    fields.unsupported("startupProbe", "give the livenessProbe an `initialDelaySeconds`");
    fields.unsupported("lifecycle", "finish on SIGTERM; calls stop arriving before it is sent");
    fields
        .unsupported("volumeMounts", "pass values by `env` and `envFrom`; a folder that lasts is $(SAMSPILL_DATA_DIR)");
    fields.finish();
    refuse_repeated_ports(item, &ports);
    let names: Vec<_> = env.iter().map(|variable| &variable.name).collect();
    refuse_repeated(&names, "variable", item.document().findings);
    Container { image, command, args, ports, all_ports_read, env, env_from, readiness, liveness }
}

fn image(item: &Item<'_>) -> Option<Located<String>> {
    let image = item.string()?;
    let byte = |c: u8| c.is_ascii_alphanumeric() || b"-_./:@".contains(&c);
    if image.value.is_empty() || !image.value.bytes().all(byte) {
        item.report(item.mistake(format!("{} is no image", quoted(&image.value))).expected("[REGISTRY/]NAME[:TAG]"));
        return None;
    }
    Some(image)
}

fn refuse_repeated_ports(item: &Item<'_>, ports: &[Port]) {
    let names: Vec<_> = ports.iter().filter_map(|port| port.name.as_ref()).collect();
    refuse_repeated(&names, "port name", item.document().findings);
    let numbers: Vec<_> =
        ports.iter().map(|port| Located { value: port.port.to_string(), at: port.at.clone() }).collect();
    refuse_repeated(&numbers.iter().collect::<Vec<_>>(), "port", item.document().findings);
}

fn strings(fields: &mut Fields<'_>, name: &'static str) -> Vec<Located<String>> {
    list(fields, name, Item::string)
}

fn list<'a, T>(fields: &mut Fields<'a>, name: &'static str, read: impl Fn(&Item<'a>) -> Option<T>) -> Vec<T> {
    let items = fields.optional(name).map(|item| item.items()).unwrap_or_default();
    items.iter().filter_map(read).collect()
}

fn port(item: &Item<'_>) -> Option<Port> {
    let mut fields = item.fields();
    let number = fields.required("containerPort");
    let at = number.as_ref().map(Item::place);
    let port = number.and_then(|item| item.port());
    let name = fields.optional("name").map(|item| item.label());
    fields.optional("protocol").map(|item| item.one_of(&["TCP"]));
    fields.unsupported("hostPort", "the edge's port is `ports: {edge: {hostPort: …}}` in samspill.local.yaml");
    fields.unsupported("hostIP", "processes listen on loopback here");
    fields.finish();
    // With a name that could not be read it is another port than the one that is written.
    let name = match name {
        None => None,
        Some(name) => Some(name?),
    };
    Some(Port { name, port: port?, at: at? })
}

fn variable(item: &Item<'_>) -> Option<Variable> {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| variable_name(&item));
    let text = fields.optional("value");
    let from = fields.optional("valueFrom");
    fields.finish();
    let value = match (text, from) {
        (Some(text), None) => text.string().map(VariableValue::Text),
        (None, Some(from)) => value_from(&from),
        // Neither is the empty string, as in Kubernetes.
        (None, None) => Some(VariableValue::Text(Located { value: String::new(), at: item.place() })),
        (Some(_), Some(from)) => {
            from.report(from.mistake("`value` and `valueFrom` exclude each other").hint("leave one of them out"));
            None
        }
    };
    Some(Variable { name: name?, value })
}

/// The name of an environment variable.
fn variable_name(item: &Item<'_>) -> Option<Located<String>> {
    let name = item.string()?;
    if is_variable_name(&name.value) {
        return Some(name);
    }
    let message = format!("{} cannot be the name of a variable", quoted(&name.value));
    item.report(item.mistake(message).expected("letters, digits, `_`, `-` and `.`, not beginning with a digit"));
    None
}

/// Kubernetes' rule for the names of variables.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c))
        && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn value_from(item: &Item<'_>) -> Option<VariableValue> {
    let mut fields = item.fields();
    let config_map = fields.optional("configMapKeyRef").map(|item| key_ref(&item, "ConfigMap"));
    let secret = fields.optional("secretKeyRef").map(|item| key_ref(&item, "Secret"));
    let field = fields.optional("fieldRef").map(|item| field_ref(&item));
    fields.unsupported("resourceFieldRef", "limits are not enforced here");
    fields.finish();
    match (config_map, secret, field) {
        (Some(key), None, None) | (None, Some(key), None) => key.map(VariableValue::Key),
        (None, None, Some(field)) => field.map(VariableValue::Field),
        (None, None, None) => {
            let sources = listed(["configMapKeyRef", "secretKeyRef", "fieldRef"]);
            item.report(item.mistake("the value comes from nowhere").expected(sources));
            None
        }
        _ => {
            item.report(item.mistake("the value comes from several places").hint("leave one of them"));
            None
        }
    }
}

fn key_ref(item: &Item<'_>, kind: &'static str) -> Option<KeyRef> {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.string());
    let key = fields.required("key").and_then(|item| item.string());
    let optional = fields.optional("optional").and_then(|item| item.boolean()).unwrap_or_default();
    fields.finish();
    Some(KeyRef { kind, name: name?, key: key?, optional })
}

fn field_ref(item: &Item<'_>) -> Option<Located<String>> {
    let mut fields = item.fields();
    let path = fields.required("fieldPath").and_then(|item| item.string());
    fields.optional("apiVersion").map(|item| item.one_of(&["v1"]));
    fields.finish();
    path
}

fn env_from(item: &Item<'_>) -> Option<EnvFrom> {
    let mut fields = item.fields();
    let prefix = fields.optional("prefix").and_then(|item| item.string());
    let config_map = fields.optional("configMapRef").map(|item| ("ConfigMap", item));
    let secret = fields.optional("secretRef").map(|item| ("Secret", item));
    fields.finish();
    let ((Some((kind, reference)), None) | (None, Some((kind, reference)))) = (config_map, secret) else {
        item.report(item.mistake("one source is needed").expected(listed(["configMapRef", "secretRef"])));
        return None;
    };
    let mut fields = reference.fields();
    let name = fields.required("name").and_then(|item| item.string());
    let optional = fields.optional("optional").and_then(|item| item.boolean()).unwrap_or_default();
    fields.finish();
    Some(EnvFrom { kind, name: name?, prefix: prefix.map(|prefix| prefix.value).unwrap_or_default(), optional })
}
