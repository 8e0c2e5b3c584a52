//! Puts the parts together.

use std::io;
use std::sync::Arc;

use samspill_identity::IdentityStore;
use samspill_identity::authority::{AuthorityError, CertificateAuthority};
use samspill_net::{Listener, UnixListener};
use samspill_xds::certificates::CertificatesServer;
use samspill_xds::server::{Acks, AdsServer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tonic::service::Routes;

use crate::api::{Api, serve_api};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, Outputs};
use crate::grpc;
use crate::identity::{Attestor, CertificateService, OwnCertificateError, keep_own_certificate};
use crate::link;
use crate::store::{OpenStoreError, Store};

/// Wishes that wait for the loop.
const QUEUED_SCALES: usize = 16;

/// Worker threads: the loop's writes to disk must not keep proxies waiting.
const WORKERS: usize = 2;

/// Why the controller ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The stored certificate authority cannot be used.
    #[error("cannot use the certificate authority in the store")]
    Authority(#[from] AuthorityError),
    /// The stored authority is another trust domain's.
    #[error(
        "the store belongs to the trust domain `{stored}`, asked for is `{wanted}`; \
         use another --state-dir for another trust domain"
    )]
    TrustDomain {
        /// The store's.
        stored: String,
        /// The flag's.
        wanted: String,
    },
    /// There is no certificate for the controller itself.
    #[error(transparent)]
    OwnCertificate(#[from] OwnCertificateError),
    /// A thread, a signal or a socket was refused.
    #[error("the system refused {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// The framework, on which the API is built, could not serve it.
    #[error("cannot serve the controller's API: {0}")]
    Api(String),
    /// A part that should never end has ended.
    #[error("{0} is no longer served")]
    Part(&'static str),
    /// The loop had to end.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
}

impl RunError {
    /// Whether a further start would end the same way, until somebody does what the error says.
    pub fn is_lasting(&self) -> bool {
        match self {
            // A controller that is being killed still has it for a moment.
            Self::Store(OpenStoreError::InUse(_)) => false,
            Self::Store(_) | Self::Authority(_) | Self::TrustDomain { .. } | Self::OwnCertificate(_) => true,
            Self::System { .. } | Self::Api(_) | Self::Part(_) | Self::Executor(_) => false,
        }
    }
}

/// Runs the controller until the runtime has ended, or SIGTERM or SIGINT asks for it. Logs must have been set up.
///
/// # Errors
/// Exit code 1: print it with [`samspill_observability::chain`].
pub fn run(config: Config) -> Result<(), RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(WORKERS).enable_all().build().map_err(system("threads"))?;
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("a signal handler"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("a signal handler"))?;
        tokio::select! {
            outcome = serve(config) => outcome,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    // What is durable is durable, and proxies come back: nothing has to be finished.
    runtime.shutdown_background();
    outcome
}

/// The same inside of a tokio runtime that is there already (its connections are tasks of that), and without signals.
///
/// # Errors
/// As [`run`].
pub async fn serve(config: Config) -> Result<(), RunError> {
    let Config { flags, ads, bootstrap, api, runtime } = config;
    let trust_domain = flags.trust_domain;

    // Phase 1: what was. A store that cannot be read ends it here, before anything is said to anybody.
    let create = || CertificateAuthority::create(&trust_domain, samspill_net::clock::now()).map(|ca| ca.to_pem());
    let (store, stored) = Store::open(&flags.state_dir, create)?;
    let store = Arc::new(store);
    let authority = Arc::new(CertificateAuthority::from_pem(&stored.ca_pem)?);
    let stored_domain = authority.bundle().trust_domain;
    if stored_domain != trust_domain {
        return Err(RunError::TrustDomain { stored: stored_domain, wanted: trust_domain });
    }

    // Phase 2: who we are, and who the others are.
    let identities = IdentityStore::new();
    let renewal = keep_own_certificate(&authority, &trust_domain, flags.leaf_ttl, identities.clone())?;
    let inventory = watch::Sender::new(None);
    let spent = stored.spent.clone();
    let attestor = Arc::new(Attestor::new(trust_domain.clone(), inventory.subscribe(), Arc::clone(&store), spent));
    let certificates = CertificateService::new(authority, Arc::clone(&attestor), trust_domain.clone(), flags.leaf_ttl);

    // Phase 3: the doors. Renewals and ADS wait until the first inventory is there.
    let resources = watch::Sender::new(None);
    let acks = Acks::new();
    let ads_service = AdsServer::new(resources.subscribe(), acks.clone(), move |id, node| attestor.is_node(id, node));
    let bootstrap_routes = Routes::new(CertificatesServer::new(certificates.clone()));
    let ads_routes = bootstrap_routes.clone().add_service(ads_service.into_service());
    let ads = Listener::from_std(ads).map_err(system("the socket `ads`"))?;
    let bootstrap = UnixListener::from_std(bootstrap).map_err(system("the socket `bootstrap`"))?;
    let (messages, to_runtime) = link::open(runtime).map_err(system("the socket `runtime`"))?;
    let mut known = inventory.subscribe();
    let shown = certificates.clone();
    let (scales, wishes) = mpsc::channel(QUEUED_SCALES);
    let view = watch::Sender::new(None);
    let api_state =
        Api { trust_domain: trust_domain.clone(), view: view.subscribe(), acks: acks.clone(), certificates, scales };
    let ads_door = async {
        if known.wait_for(Option::is_some).await.is_ok() {
            grpc::serve_mutual_tls(ads, identities, shown, ads_routes).await;
        }
    };

    // Phase 4: the loop. When it ends, everything is dropped with it. No other part ends by itself, and if one does, it is better to
    // be started again by the runtime than to go on without it.
    let outputs = Outputs { to_runtime, inventory, resources, view };
    let executor = Executor::new(trust_domain, store, stored, outputs);
    tokio::select! {
        outcome = executor.run(messages, acks.subscribe(), wishes) => Ok(outcome?),
        outcome = serve_api(api, api_state) => outcome.map_err(|error| RunError::Api(error.to_string())),
        () = ads_door => Err(RunError::Part("ADS")),
        () = grpc::serve_bootstrap(bootstrap, bootstrap_routes) => Err(RunError::Part("the bootstrap socket")),
        () = renewal => Err(RunError::Part("the renewal of the controller's certificate")),
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}
