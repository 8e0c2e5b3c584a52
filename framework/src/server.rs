//! The server: accepts, serves, drains.
//!
//! Own loops instead of `axum::serve`, which has no deadline for a request's head and none for the drain
//! (axum#2741, axum#3326).

mod app;
mod connection;
mod signals;
mod tunnel;

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use samspill_net::drain::{self, Drain, DrainWatch};
use samspill_net::{Listener, UnixListener, task};

pub(crate) use app::App;
pub(crate) use signals::Signals;

/// How long a drain may take: five seconds less than Kubernetes' `terminationGracePeriodSeconds`, which is 30 unless set.
const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// Where a service listens.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(Listener),
    Unix(UnixListener),
}

/// Serves until `stop` is ready for the first time, then drains, until it is ready for the second time.
pub(crate) async fn serve(sockets: Vec<Socket>, app: App, mut stop: Signals) {
    let (drain, watch) = drain::channel();
    let app = app.draining_with(&watch);
    let mut accepting: FuturesUnordered<_> =
        sockets.into_iter().map(|socket| accept_until_drain(socket, app.clone(), watch.clone())).collect();
    drop((app, watch));

    tokio::select! {
        () = stop.next() => {}
        Some(()) = accepting.next() => {} // never: each accepts until the drain starts
    }
    tracing::info!("draining");
    drain.start();
    while accepting.next().await.is_some() {}
    finish(&drain, &mut stop).await;
}

/// Waits for what is begun.
async fn finish(drain: &Drain, stop: &mut Signals) {
    tokio::select! {
        biased;
        () = drain.finished() => tracing::info!("drained"),
        () = stop.next() => tracing::warn!("asked to stop twice; the rest is cut"),
        () = tokio::time::sleep(DRAIN_DEADLINE) => {
            tracing::warn!("the drain took longer than {DRAIN_DEADLINE:?}; the rest is cut");
        }
    }
}

async fn accept_until_drain(socket: Socket, app: App, watch: DrainWatch) {
    match &socket {
        Socket::Tcp(listener) => tracing::info!(address = %listener.local_addr(), "serving"),
        Socket::Unix(_) => tracing::info!("serving on a Unix socket"),
    }
    let mut draining = pin!(watch.started());
    loop {
        tokio::select! {
            biased;
            () = draining.as_mut() => break,
            () = accept(&socket, &app, &watch) => {}
        }
    }
    // Callers whom the kernel has let in already are served; whoever comes later is refused.
    while accept(&socket, &app, &watch).now_or_never().is_some() {}
}

/// Accepts one connection and lets it run.
async fn accept(socket: &Socket, app: &App, watch: &DrainWatch) {
    let (app, watch) = (app.clone(), watch.clone());
    match socket {
        Socket::Tcp(listener) => {
            let (stream, _peer) = listener.accept().await;
            task::spawn("connection", connection::serve(stream, app, watch));
        }
        Socket::Unix(listener) => {
            let stream = listener.accept().await;
            task::spawn("connection", connection::serve(stream, app, watch));
        }
    }
}

#[cfg(test)]
mod tests;
