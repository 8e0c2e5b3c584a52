//! The server: accepts, serves, drains.
//!
//! Own loops instead of `axum::serve`, which has no deadline for a request's head and none for the drain
//! (axum#2741, axum#3326).

mod app;
mod connection;
mod signals;

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use samspill_net::drain::{self, DrainWatch};
use samspill_net::{Listener, task};

pub(crate) use app::App;
pub(crate) use signals::Signals;

/// How long a drain may take: five seconds less than Kubernetes' `terminationGracePeriodSeconds`, which is 30 unless set.
const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// Serves until `stop` is ready for the first time, then drains, until it is ready for the second time.
pub(crate) async fn serve(listeners: Vec<Listener>, app: App, mut stop: Signals) {
    let (drain, watch) = drain::channel();
    let app = app.draining_with(&watch);
    let mut accepting: FuturesUnordered<_> =
        listeners.into_iter().map(|listener| accept(listener, app.clone(), watch.clone())).collect();
    drop((app, watch));

    tokio::select! {
        () = stop.next() => {}
        Some(()) = accepting.next() => {} // never: each accepts until the drain starts
    }
    tracing::info!("draining");
    drain.start();
    let finished = async {
        while accepting.next().await.is_some() {}
        drain.finished().await;
    };
    tokio::select! {
        () = finished => tracing::info!("drained"),
        () = tokio::time::sleep(DRAIN_DEADLINE) => tracing::warn!("the drain took longer than {DRAIN_DEADLINE:?}; the rest is cut"),
        () = stop.next() => tracing::warn!("asked to stop twice; the rest is cut"),
    }
}

/// Accepts until the drain starts.
async fn accept(listener: Listener, app: App, watch: DrainWatch) {
    tracing::info!(address = %listener.local_addr(), "serving");
    let connect = |stream| {
        task::spawn("connection", connection::serve(stream, app.clone(), watch.clone()));
    };
    let mut draining = pin!(watch.started());
    loop {
        tokio::select! {
            biased;
            () = draining.as_mut() => break,
            (stream, _peer) = listener.accept() => connect(stream),
        }
    }
    // Callers whom the kernel has let in already are served; whoever comes later is refused.
    while let Some((stream, _peer)) = listener.accept().now_or_never() {
        connect(stream);
    }
}
