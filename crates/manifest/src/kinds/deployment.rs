//! apps/v1 Deployment.

use std::collections::BTreeMap;

use crate::read::{Fields, Item, Located};

use super::{Container, cluster_metadata, container, exactly_one};

/// One machine runs no more copies of one workload.
pub(crate) const MAX_REPLICAS: u32 = 250;
/// A day, in seconds: more is a mistake in the unit.
pub(crate) const MAX_SECONDS: u32 = 86_400;

#[derive(Debug, Default)]
pub(crate) struct Deployment {
    pub(crate) replicas: Option<u32>,
    pub(crate) labels: BTreeMap<String, Located<String>>,
    pub(crate) service_account: Option<Located<String>>,
    pub(crate) termination_grace_seconds: Option<u32>,
    pub(crate) container: Option<Container>,
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Deployment {
    fields.cluster_only(&["status"]);
    let Some(spec) = fields.required("spec") else { return Deployment::default() };
    let mut spec = spec.fields();
    let replicas = spec.optional("replicas").and_then(|item| item.integer(0..=MAX_REPLICAS));
    let selector = spec.required("selector").map(|item| match_labels(&item));
    let template = spec.required("template").map(|item| template(&item));
    spec.cluster_only(&["minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy"]);
    spec.unsupported("paused", "leave it out: the files always win here");
    spec.finish();
    let mut deployment = template.unwrap_or_default();
    deployment.replicas = replicas;
    for (key, wanted) in selector.unwrap_or_default() {
        let found = deployment.labels.get(&key);
        if found.map(|found| &found.value) != Some(&wanted.value) {
            let mistake = crate::mistake::Mistake::at("the selector does not match the template's labels", &wanted.at);
            let hint = format!("write `{key}: {}` in spec.template.metadata.labels", wanted.value.escape_debug());
            fields.item().report(mistake.hint(hint));
        }
    }
    deployment
}

fn match_labels(item: &Item<'_>) -> BTreeMap<String, Located<String>> {
    let mut fields = item.fields();
    let labels = fields.required("matchLabels").map(|item| item.labels());
    fields.unsupported("matchExpressions", "select by `matchLabels`");
    fields.finish();
    labels.unwrap_or_default()
}

fn template(item: &Item<'_>) -> Deployment {
    let mut fields = item.fields();
    let labels = fields.optional("metadata").map(|item| {
        let mut fields = item.fields();
        let labels = fields.required("labels").map(|item| item.labels());
        cluster_metadata(&mut fields);
        fields.cluster_only(&["name", "namespace"]);
        fields.finish();
        labels.unwrap_or_default()
    });
    let pod = fields.required("spec").map(|item| pod(&item));
    fields.finish();
    Deployment { labels: labels.unwrap_or_default(), ..pod.unwrap_or_default() }
}

fn pod(item: &Item<'_>) -> Deployment {
    let mut fields = item.fields();
    let service_account = fields.optional("serviceAccountName").and_then(|item| item.dotted_name());
    let grace = fields.optional("terminationGracePeriodSeconds").and_then(|item| item.integer(0..=MAX_SECONDS));
    let container = fields
        .required("containers")
        .and_then(|item| exactly_one(&item, "container", "give the other one a Deployment of its own"))
        .map(|item| container::read(&item));
    fields.optional("restartPolicy").map(|item| item.one_of(&["Always"]));
    fields.cluster_only(&[
        "affinity",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "imagePullSecrets",
        "nodeSelector",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "runtimeClassName",
        "schedulerName",
        "securityContext",
        "tolerations",
        "topologySpreadConstraints",
    ]);
    fields.unsupported("serviceAccount", "write `serviceAccountName`");
    fields.unsupported("initContainers", "do the work when the program starts, or before `samspill up`");
    fields.unsupported("volumes", "pass values by `env` and `envFrom`; a folder that lasts is $(SAMSPILL_DATA_DIR)");
    fields.unsupported("hostNetwork", "each copy gets ports of its own, in PORT and PORT_<NAME>");
    fields.finish();
    Deployment { service_account, termination_grace_seconds: grace, container, ..Deployment::default() }
}
