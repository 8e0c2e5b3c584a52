//! From the objects of a folder to an intent: every reference followed, every name resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use samspill_model::intent::{
    AppProtocol, ContainerPort, EdgeRoute, Intent, PathMatch, Probe, ProbeCheck, Program, Service, ServicePortSpec,
    TargetPort, WeightedService, Workload,
};
use samspill_model::name::{ServicePort, WorkloadName};

use crate::catalogue::Catalogue;
use crate::environment::{self, Variable};
use crate::kinds::Metadata;
use crate::kinds::container::Container;
use crate::kinds::deployment::Deployment;
use crate::kinds::probe::{self, Check};
use crate::kinds::service;
use crate::local::{self, FILE_NAME, Image};
use crate::mistake::{Mistake, Place, closest, listed, quoted};
use crate::read::{Findings, Located, PortRef};

/// Where the program of a workload comes from.
#[derive(Debug)]
pub(crate) struct ProgramSource {
    pub(crate) image: Located<String>,
    /// Position in [`local::Local::images`].
    pub(crate) mapping: usize,
}

/// The intent, without the executables, and where those come from: one per workload, in the same order.
pub(crate) fn assemble(catalogue: &Catalogue, folder: &Path, findings: &Findings) -> (Intent, Vec<ProgramSource>) {
    let mut intent = Intent::default();
    let mut programs = Vec::new();
    for (metadata, deployment) in catalogue.deployments.values() {
        let assembler = Assembler { metadata, deployment, catalogue, folder, findings };
        if let Some((workload, program)) =
            deployment.container.as_ref().and_then(|container| assembler.workload(container))
        {
            intent.workloads.push(workload);
            programs.push(program);
        }
    }
    for (metadata, service) in catalogue.services.values() {
        intent.services.push(assemble_service(metadata, service));
    }
    check_services(catalogue, findings);
    intent.routes = routes(catalogue, findings);
    let used: BTreeSet<String> =
        programs.iter().map(|program| catalogue.local.images[program.mapping].prefix.value.clone()).collect();
    if catalogue.is_complete("Deployment") {
        catalogue.warn_of_unused(&used, findings);
    }
    (intent, programs)
}

struct Assembler<'a> {
    metadata: &'a Metadata,
    deployment: &'a Deployment,
    catalogue: &'a Catalogue,
    folder: &'a Path,
    findings: &'a Findings,
}

impl Assembler<'_> {
    /// `None` when its image is missing or unknown, which has been reported.
    fn workload(&self, container: &Container) -> Option<(Workload, ProgramSource)> {
        let Self { metadata, deployment, .. } = self;
        let service_account = self.service_account();
        let ports = container
            .ports
            .iter()
            .map(|port| ContainerPort { name: port.name.as_ref().map(|name| name.value.clone()), port: port.port });
        let readiness = container.readiness.as_ref().and_then(|probe| self.probe(probe, container));
        let liveness = container.liveness.as_ref().and_then(|probe| self.probe(probe, container));
        if let (None, Some(liveness)) = (&container.readiness, &container.liveness) {
            let message = format!("the Deployment {} has no readinessProbe", quoted(&metadata.name.value));
            let hint = "its copies receive traffic as soon as they have started; add a readinessProbe";
            self.findings.warn(Mistake::at(message, &liveness.at).hint(hint));
        }
        let mut variables = environment::variables(metadata, deployment, container, self.catalogue, self.findings);
        let mut args: Vec<String> = Vec::new();
        for argument in container.command.iter().skip(1).chain(&container.args) {
            args.push(environment::expand(argument, &variables, self.findings).0);
        }
        let program = self.mapping(container)?;
        let mapping = &self.catalogue.local.images[program.mapping];
        for (name, value) in &mapping.env {
            let (template, is_secret) = environment::expand(value, &variables, self.findings);
            variables.insert(name.clone(), Variable { template, is_secret });
        }
        let image = &program.image.value;
        let labels = [&deployment.labels, &metadata.labels];
        let version = labels.iter().find_map(|labels| labels.get("app.kubernetes.io/version"));
        let version = version.map(|label| label.value.as_str()).or_else(|| local::tag(image)).unwrap_or("latest");
        let secret_env = environment::secret_names(&variables);
        let workload = Workload {
            name: WorkloadName::new(&metadata.namespace, &metadata.name.value),
            service_account,
            version: version.to_owned(),
            labels: deployment.labels.iter().map(|(key, label)| (key.clone(), label.value.clone())).collect(),
            replicas: deployment.replicas.unwrap_or(1),
            program: Program {
                executable: PathBuf::new(), // known after the build
                args,
                working_dir: self.working_dir(mapping),
                env: variables.into_iter().map(|(name, variable)| (name, variable.template)).collect(),
                secret_env,
            },
            ports: ports.collect(),
            readiness,
            liveness,
            termination_grace_seconds: deployment.termination_grace_seconds.unwrap_or(30),
        };
        Some((workload, program))
    }

    fn service_account(&self) -> String {
        let Self { metadata, deployment, catalogue, findings, .. } = self;
        let Some(account) = &deployment.service_account else {
            let message = format!("the Deployment {} has no serviceAccountName", quoted(&metadata.name.value));
            let hint = "its identity is that of `default`, which every Deployment without one shares";
            findings.warn(Mistake::at(message, &metadata.name.at).hint(hint));
            return "default".to_owned();
        };
        let is_known = account.value == "default" || catalogue.has_service_account(&metadata.namespace, &account.value);
        if !is_known && catalogue.is_complete("ServiceAccount") {
            let message = format!("the ServiceAccount {} is in none of the files", quoted(&account.value));
            findings.warn(Mistake::at(message, &account.at).hint("a cluster would not start the Deployment"));
        }
        account.value.clone()
    }

    fn probe(&self, probe: &probe::Probe, container: &Container) -> Option<Probe> {
        let check = match probe.check.as_ref()? {
            Check::Http { path, port, headers } => ProbeCheck::Http {
                path: path.clone(),
                port: self.container_port(port, container)?,
                headers: headers.clone(),
            },
            Check::Tcp { port } => ProbeCheck::Tcp { port: self.container_port(port, container)? },
        };
        Some(Probe {
            check,
            initial_delay_seconds: probe.initial_delay_seconds,
            period_seconds: probe.period_seconds,
            timeout_seconds: probe.timeout_seconds,
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
        })
    }

    /// The number of a declared port: only those exist here.
    fn container_port(&self, port: &PortRef, container: &Container) -> Option<u16> {
        let found = container.port(port);
        if found.is_none() {
            self.findings.mistake_of(unknown_port(port, container, "the container"));
        }
        found
    }

    /// Finds the program that stands for the image.
    fn mapping(&self, container: &Container) -> Option<ProgramSource> {
        if let Some(shell) = container.command.first().filter(|first| is_shell(&first.value)) {
            let message = format!("a program stands for the image here, so {} cannot run", quoted(&shell.value));
            let hint = "name the program itself in `command`, and what it is given in `args`";
            self.findings.mistake(Mistake::at(message, &shell.at).hint(hint));
        }
        let image = container.image.clone()?;
        let local = &self.catalogue.local;
        if let Some(found) = local.image(&image.value) {
            let mapping = local.images.iter().position(|candidate| std::ptr::eq(candidate, found))?;
            return Some(ProgramSource { image, mapping });
        }
        if self.catalogue.is_complete(FILE_NAME) {
            let repository = local::repository(&image.value);
            let name = repository.rsplit('/').next().unwrap_or_default();
            let mut mistake =
                Mistake::at(format!("no program is known for the image {}", quoted(&image.value)), &image.at).hint(
                    format!("say which one in {FILE_NAME}:\nimages:\n  {repository}: {{build: {{package: {name}}}}}   # or {{exec: PATH}}"),
                );
            mistake.tried = local
                .images
                .iter()
                .map(|image| format!("{} at {}", quoted(&image.prefix.value), image.prefix.at))
                .collect();
            self.findings.mistake(mistake);
        }
        None
    }

    fn working_dir(&self, mapping: &Image) -> PathBuf {
        let Some(workdir) = &mapping.workdir else { return self.folder.to_owned() };
        let path = self.folder.join(&workdir.value);
        if !path.is_dir() {
            let message = format!("{} is no folder", quoted(&workdir.value));
            self.findings.mistake(Mistake::at(message, &workdir.at).expected("a folder, relative to this file"));
        }
        path
    }
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "zsh"))
}

/// `None` where a port of the container could not be read, which has been reported: it may be the one that is meant.
fn unknown_port(port: &PortRef, container: &Container, whose: &str) -> Option<Mistake> {
    if !container.all_ports_read {
        return None;
    }
    let names: Vec<&str> = container.ports.iter().filter_map(|port| Some(port.name.as_ref()?.value.as_str())).collect();
    let numbers: Vec<String> = container.ports.iter().map(|port| port.port.to_string()).collect();
    let all = names.iter().copied().chain(numbers.iter().map(String::as_str));
    let (text, at, near) = match port {
        PortRef::Number(number) => (number.value.to_string(), &number.at, None),
        PortRef::Name(name) => (quoted(&name.value), &name.at, closest(&name.value, names.iter().copied())),
    };
    let mistake = Mistake::at(format!("{whose} has no port {text}"), at).did_you_mean(near);
    Some(match container.ports.is_empty() {
        true => mistake.hint("declare it in the container's `ports`"),
        false => mistake.expected(listed(all)),
    })
}

fn assemble_service(metadata: &Metadata, service: &service::Service) -> Service {
    let port = |port: &service::Port| ServicePortSpec {
        name: port.name.clone(),
        port: port.port,
        target: match &port.target {
            None => TargetPort::Number(port.port),
            Some(PortRef::Number(number)) => TargetPort::Number(number.value),
            Some(PortRef::Name(name)) => TargetPort::Name(name.value.clone()),
        },
        protocol: port.protocol,
    };
    Service {
        namespace: metadata.namespace.clone(),
        name: metadata.name.value.clone(),
        selector: service.selector.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect(),
        ports: service.ports.iter().map(port).collect(),
    }
}

/// Each port of a Service must exist in what it selects, and one container port speaks one protocol. Asked of the files and
/// not of the intent, which lacks a Deployment that has another mistake.
fn check_services(catalogue: &Catalogue, findings: &Findings) {
    let mut protocols: BTreeMap<(&str, &str, u16), (AppProtocol, &Place)> = BTreeMap::new();
    for (metadata, service) in catalogue.services.values() {
        let selects = |other: &Metadata, deployment: &Deployment| {
            let has = |(key, value): (&String, &Located<String>)| {
                deployment.labels.get(key).is_some_and(|label| label.value == value.value)
            };
            other.namespace == metadata.namespace && !service.selector.is_empty() && service.selector.iter().all(has)
        };
        let selected: Vec<_> =
            catalogue.deployments.values().filter(|(other, deployment)| selects(other, deployment)).collect();
        if selected.is_empty() && !service.selector.is_empty() && catalogue.is_complete("Deployment") {
            let message = format!("the Service {} selects no Deployment", quoted(&metadata.name.value));
            let hint = "its selector must be among the labels of a template in its namespace";
            findings.warn(Mistake::at(message, &metadata.name.at).hint(hint));
        }
        for (deployment, container) in
            selected.into_iter().filter_map(|(other, deployment)| Some((other, deployment.container.as_ref()?)))
        {
            let name = &deployment.name.value;
            for written in &service.ports {
                let own = Located { value: written.port, at: written.at.clone() };
                let target = written.target.clone().unwrap_or(PortRef::Number(own));
                let Some(number) = container.port(&target) else {
                    let whose = format!("the Deployment {}", quoted(name));
                    findings.mistake_of(unknown_port(&target, container, &whose));
                    continue;
                };
                let first =
                    protocols.entry((&deployment.namespace, name, number)).or_insert((written.protocol, &written.at));
                if first.0 != written.protocol {
                    let message = format!("port {number} of {} speaks one protocol", quoted(name));
                    let hint = "give both the same `appProtocol`";
                    findings.mistake(
                        Mistake::at(message, &written.at).also("another one is said here", first.1).hint(hint),
                    );
                }
            }
        }
    }
}

/// One per match, the most specific first: longer before shorter, exact before prefix.
fn routes(catalogue: &Catalogue, findings: &Findings) -> Vec<EdgeRoute> {
    let mut routes: Vec<(EdgeRoute, &Place)> = Vec::new();
    for (metadata, route) in catalogue.routes.values() {
        for rule in &route.rules {
            let weighted = |backend: &crate::kinds::route::BackendRef| {
                check_backend(backend, &metadata.namespace, catalogue, findings);
                let service = ServicePort::new(&backend.name.value, &metadata.namespace, backend.port.value);
                WeightedService { service, weight: backend.weight }
            };
            let backends: Vec<WeightedService> = rule.backends.iter().map(weighted).collect();
            for path in &rule.matches {
                let found = EdgeRoute {
                    route: format!("{}/{}", metadata.namespace, metadata.name.value),
                    path: path.value.clone(),
                    rewrite: rule.rewrite.clone(),
                    backends: backends.clone(),
                };
                if let Some((_, first)) = routes.iter().find(|(known, _)| known.path == found.path) {
                    let mistake = Mistake::at("this path is matched twice", &path.at);
                    findings.mistake(mistake.also("first here", first));
                }
                routes.push((found, &path.at));
            }
        }
    }
    let precedence = |route: &EdgeRoute| match &route.path {
        PathMatch::Exact(path) => (path.len(), true),
        PathMatch::Prefix(path) => (path.len(), false),
    };
    routes.sort_by(|(a, _), (b, _)| precedence(b).cmp(&precedence(a)).then_with(|| a.route.cmp(&b.route)));
    routes.into_iter().map(|(route, _)| route).collect()
}

fn check_backend(
    backend: &crate::kinds::route::BackendRef,
    namespace: &str,
    catalogue: &Catalogue,
    findings: &Findings,
) {
    if !catalogue.is_complete("Service") {
        return;
    }
    let key = (namespace.to_owned(), backend.name.value.clone());
    let Some((_, service)) = catalogue.services.get(&key) else {
        let names = catalogue.services.keys().filter(|(other, _)| other == namespace).map(|(_, name)| name.as_str());
        let message = format!("the Service {} is in none of the files", quoted(&backend.name.value));
        findings.mistake(Mistake::at(message, &backend.name.at).did_you_mean(closest(&backend.name.value, names)));
        return;
    };
    if !service.ports.iter().any(|port| port.port == backend.port.value) {
        let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
        let message = format!("the Service {} has no port {}", quoted(&backend.name.value), backend.port.value);
        findings.mistake(Mistake::at(message, &backend.port.at).expected(listed(ports.iter().map(String::as_str))));
    }
}
