//! A network without sockets: names of one process, and the doors behind them.
//!
//! What crosses it are the bytes that would cross a socket; what a sidecar does to a request, [`Hop`] does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri};
use samspill_model::identity::SpiffeId;
use samspill_model::name::{ParseNameError, ServicePort};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::call::CLIENT_CERTIFICATE;
use crate::fault::Faults;

/// The trust domain of all identities here, and the namespace of a name that has none.
const TRUST_DOMAIN: &str = "test";
const NAMESPACE: &str = "default";

/// What one side may write before the other has read: a socket's buffer has about as much.
const BUFFER_BYTES: usize = 64 * 1024;

/// Why nobody opens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The name has a shape that no service has.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// No such service, or it was stopped.
    #[error("no service of this `TestMesh` is called `{name}`; add it: `.with(\"{name}\", |service| …)`")]
    Nobody { name: String },
    /// The test has dropped its mesh.
    #[error("the `TestMesh` is gone; keep it until the end of the test")]
    Gone,
}

/// A service, whatever port of it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    namespace: String,
    service: String,
}

impl Name {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseNameError> {
        let ServicePort { service, namespace, .. } = ServicePort::resolve(text, NAMESPACE)?;
        Ok(Self { namespace, service })
    }

    fn identity(&self) -> SpiffeId {
        SpiffeId::new(TRUST_DOMAIN, &self.namespace, &self.service)
    }
}

/// All names, who serves them, and what happens on the way to them.
#[derive(Debug, Default)]
pub(crate) struct Network(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    doors: BTreeMap<Name, mpsc::UnboundedSender<Arrival>>,
    faults: BTreeMap<Name, Faults>,
}

/// A connection that comes in, and what its requests go through.
pub(crate) type Arrival = (DuplexStream, Hop);

impl Network {
    fn places(&self) -> MutexGuard<'_, Places> {
        // Nothing is done while it is held that could be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a door behind a name, in place of one that may be there: who comes from now on comes here.
    pub(crate) fn open(&self, name: Name, text: &str) -> Door {
        let (sender, arrivals) = mpsc::unbounded_channel();
        self.places().doors.insert(name, sender);
        Door { name: text.to_owned(), arrivals: tokio::sync::Mutex::new(arrivals) }
    }

    /// Nobody comes in by this name any more.
    pub(crate) fn close(&self, name: &Name) {
        self.places().doors.remove(name);
    }

    pub(crate) fn set_faults(&self, name: Name, faults: Faults) {
        self.places().faults.insert(name, faults);
    }

    /// The way from one service to all others.
    pub(crate) fn way_out(self: &Arc<Self>, caller: Name) -> WayOut {
        WayOut { caller, network: Arc::downgrade(self) }
    }
}

/// A service's way to the others. It does not keep the network: that lives as long as its test.
#[derive(Clone, Debug)]
pub(crate) struct WayOut {
    caller: Name,
    network: Weak<Network>,
}

impl WayOut {
    pub(crate) fn connect(&self, uri: &Uri) -> Result<DuplexStream, DoorError> {
        let network = self.network.upgrade().ok_or(DoorError::Gone)?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let name = Name::parse(&authority)?;
        let nobody = || DoorError::Nobody { name: uri.host().unwrap_or_default().to_owned() };
        let door = network.places().doors.get(&name).cloned().ok_or_else(nobody)?;
        let certificate = format!("By={};URI={}", name.identity(), self.caller.identity());
        let certificate = HeaderValue::from_maybe_shared(certificate)
            .unwrap_or_else(|_| unreachable!("because a name has letters, digits and hyphens"));
        let (ours, theirs) = duplex(BUFFER_BYTES);
        let hop = Hop { certificate, callee: name, network: Weak::clone(&self.network) };
        door.send((theirs, hop)).map_err(|_left| nobody())?;
        Ok(ours)
    }
}

/// Where a service lets in who calls it by its name.
#[derive(Debug)]
pub(crate) struct Door {
    name: String,
    arrivals: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arrival>>,
}

impl Door {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next connection. Cancel safe.
    pub(crate) async fn accept(&self) -> Arrival {
        match self.arrivals.lock().await.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await, // the name is somebody else's now
        }
    }
}

/// What the sidecars between two services do to a request.
#[derive(Debug)]
pub(crate) struct Hop {
    /// Who calls whom, as mutual TLS would have proven it.
    certificate: HeaderValue,
    callee: Name,
    network: Weak<Network>,
}

impl Hop {
    /// Lets a request through, or gives an answer in place of the service's.
    pub(crate) async fn pass(&self, headers: &mut HeaderMap) -> Option<Response> {
        // In place of what the caller claimed.
        headers.insert(CLIENT_CERTIFICATE, self.certificate.clone());
        let faults = self.network.upgrade().and_then(|network| network.places().faults.get(&self.callee).cloned());
        faults?.strike(headers).await
    }
}
