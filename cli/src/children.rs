//! What only the runtime types: the proxy, the controller, the shim that all its children go through, and the guard.

use std::time::Duration;

use samspill_model::name::{InstanceName, WorkloadName};
use samspill_net::inherited::Descriptors;
use samspill_observability::span::Resource;
use samspill_observability::telemetry::{self, LogFormat};
use samspill_proxy::Role;

use crate::args::{Controller, Exec, Proxy};
use crate::environment;
use crate::exit::{Exit, Failure, failure};

pub(crate) fn proxy(args: Proxy) -> Result<Exit, Failure> {
    let config = samspill_proxy::Config {
        role: if args.edge { Role::Edge } else { Role::Sidecar },
        instance: InstanceName(args.instance),
        workload: WorkloadName::new(args.namespace, args.workload),
        service_account: args.service_account,
        workload_version: args.workload_version,
        trust_domain: args.trust_domain,
        controller: args.controller,
        bootstrap: args.bootstrap,
        otlp_endpoint: args.otlp_endpoint,
        sample_ratio: args.sample_ratio,
    };
    // The proxy makes its spans itself; here are only its log lines.
    let _telemetry = telemetry(Resource::default(), None)?;
    let descriptors = Descriptors::take().map_err(failure)?;
    samspill_proxy::run(config, descriptors).map_err(failure)?;
    Ok(Exit::Success)
}

pub(crate) fn controller(args: Controller) -> Result<Exit, Failure> {
    let resource = Resource {
        service_name: "controller".to_owned(),
        service_namespace: samspill_model::identity::SYSTEM_NAMESPACE.to_owned(),
        service_instance_id: "controller".to_owned(),
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let _telemetry = telemetry(resource, args.otlp_endpoint)?;
    let flags = samspill_controller::Flags {
        state_dir: args.state.state_dir,
        trust_domain: args.trust_domain,
        leaf_ttl: Duration::from_secs(args.leaf_ttl_seconds),
    };
    let mut descriptors = Descriptors::take().map_err(failure)?;
    let config = samspill_controller::Config::new(flags, &mut descriptors).map_err(failure)?;
    samspill_controller::run(config).map_err(|error| {
        let exit = if error.is_lasting() { Exit::Hopeless } else { Exit::Failed };
        Failure { exit, ..failure(error) }
    })?;
    Ok(Exit::Success)
}

pub(crate) fn exec(args: &Exec) -> Result<Exit, Failure> {
    match samspill_runtime::shim::exec(args.parent, &args.program, &args.args) {
        Ok(never) => match never {},
        Err(error) => Err(Failure { exit: Exit::NotExecuted, ..failure(error) }),
    }
}

pub(crate) fn guard() -> Result<Exit, Failure> {
    samspill_runtime::guard::run()?;
    Ok(Exit::Success)
}

fn telemetry(resource: Resource, otlp_endpoint: Option<String>) -> Result<telemetry::Guard, Failure> {
    let settings = telemetry::Settings {
        resource,
        otlp_endpoint,
        log_filter: environment::log_filter("info"),
        log_format: LogFormat::Text,
    };
    telemetry::init(&settings).map_err(failure)
}
