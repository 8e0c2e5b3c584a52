//! All objects of a folder, by kind and name, with the local file: where references are looked up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::kinds::deployment::Deployment;
use crate::kinds::route::Route;
use crate::kinds::service::Service;
use crate::kinds::values::Values;
use crate::kinds::{Body, Metadata, Object};
use crate::local::{FILE_NAME, Local};
use crate::mistake::{Mistake, closest, quoted};
use crate::read::{Findings, Located};

/// Namespace and name.
type Name = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) deployments: BTreeMap<Name, (Metadata, Box<Deployment>)>,
    pub(crate) services: BTreeMap<Name, (Metadata, Service)>,
    pub(crate) routes: BTreeMap<Name, (Metadata, Route)>,
    values: BTreeMap<(&'static str, String, String), Values>,
    service_accounts: BTreeSet<Name>,
    pub(crate) local: Local,
    used_secrets: RefCell<BTreeSet<String>>,
    /// Kinds of which an object could not be read: that a name is not here proves nothing then.
    incomplete: BTreeSet<&'static str>,
}

impl Catalogue {
    /// Puts objects in their places; a name that is given twice is a mistake.
    pub(crate) fn new(
        objects: Vec<Object>,
        local: Local,
        incomplete: BTreeSet<&'static str>,
        findings: &Findings,
    ) -> Self {
        let mut catalogue = Self { local, incomplete, ..Self::default() };
        let mut seen: BTreeMap<(&str, String, String), Located<String>> = BTreeMap::new();
        for Object { kind, metadata, body } in objects {
            let name = (metadata.namespace.clone(), metadata.name.value.clone());
            let key = (kind, name.0.clone(), name.1.clone());
            if let Some(first) = seen.get(&key) {
                let message = format!("the {kind} {} is given twice in this namespace", quoted(&name.1));
                findings.mistake(Mistake::at(message, &metadata.name.at).also("first here", &first.at));
                continue;
            }
            if name.0 == samspill_model::identity::SYSTEM_NAMESPACE {
                let message = format!("the namespace {} is the mesh's own", quoted(&name.0));
                findings.mistake(Mistake::at(message, &metadata.name.at).hint("use another one"));
            }
            seen.insert(key, metadata.name.clone());
            match body {
                Body::Deployment(deployment) => {
                    catalogue.deployments.insert(name, (metadata, deployment));
                }
                Body::Service(service) => {
                    catalogue.services.insert(name, (metadata, service));
                }
                Body::Route(route) => {
                    catalogue.routes.insert(name, (metadata, route));
                }
                Body::Values(values) => {
                    catalogue.values.insert((kind, name.0, name.1), values);
                }
                Body::Named if kind == "ServiceAccount" => {
                    catalogue.service_accounts.insert(name);
                }
                Body::Named => {}
            }
        }
        catalogue
    }

    /// Whether every object of a kind has been read.
    pub(crate) fn is_complete(&self, kind: &str) -> bool {
        !self.incomplete.contains(kind)
    }

    /// The values of a ConfigMap or Secret; those in the local file win.
    pub(crate) fn values(&self, kind: &'static str, namespace: &str, name: &str) -> Option<Values> {
        let mut found = self.values.get(&(kind, namespace.to_owned(), name.to_owned())).cloned();
        if kind == "Secret" {
            for key in [name.to_owned(), format!("{namespace}/{name}")] {
                if let Some((_, values)) = self.local.secrets.get(&key) {
                    found.get_or_insert_default().extend(values.clone());
                    self.used_secrets.borrow_mut().insert(key);
                }
            }
        }
        found
    }

    /// Says that a ConfigMap or Secret is nowhere, or that it has no such key.
    pub(crate) fn missing_values(
        &self,
        kind: &'static str,
        name: &Located<String>,
        key: Option<(&str, &Located<String>)>,
        findings: &Findings,
    ) {
        if !self.is_complete(kind) {
            return;
        }
        if let Some((namespace, key)) = key
            && let Some(values) = self.values(kind, namespace, &name.value)
        {
            let message = format!("the {kind} {} has no key {}", quoted(&name.value), quoted(&key.value));
            let near = closest(&key.value, values.keys().map(String::as_str));
            findings.mistake(Mistake::at(message, &key.at).did_you_mean(near));
            return;
        }
        let mistake = Mistake::at(format!("the {kind} {} is in none of the files", quoted(&name.value)), &name.at);
        let near =
            closest(&name.value, self.values.keys().filter(|known| known.0 == kind).map(|known| known.2.as_str()));
        let example = key.map_or("KEY", |(_, key)| &key.value);
        findings.mistake(match near {
            Some(_) => mistake.did_you_mean(near),
            None if kind == "Secret" => {
                let lines = format!("secrets:\n  {}: {{{example}: value}}   # or {{fromEnvFile: FILE}}", name.value);
                mistake.hint(format!("write its values in {FILE_NAME}, which is not for the repository:\n{lines}"))
            }
            None => mistake,
        });
    }

    /// Whether a ServiceAccount is in the files.
    pub(crate) fn has_service_account(&self, namespace: &str, name: &str) -> bool {
        self.service_accounts.contains(&(namespace.to_owned(), name.to_owned()))
    }

    /// Warns of entries of the local file that nothing refers to.
    pub(crate) fn warn_of_unused(&self, used_images: &BTreeSet<String>, findings: &Findings) {
        for image in &self.local.images {
            if !used_images.contains(&image.prefix.value) {
                let message = format!("no Deployment uses the image {}", quoted(&image.prefix.value));
                findings.warn(Mistake::at(message, &image.prefix.at));
            }
        }
        for (key, (name, _)) in &self.local.secrets {
            if !self.used_secrets.borrow().contains(key) {
                findings.warn(Mistake::at(format!("no Deployment uses the Secret {}", quoted(key)), &name.at));
            }
        }
    }
}
