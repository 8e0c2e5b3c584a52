//! The server: accepts, serves, drains.
//!
//! Own loops instead of `axum::serve`, which has no deadline for a request's head and none for the drain
//! (axum#2741, axum#3326). All limits of a connection are in [`limits`].
//!
//! The drain, in this order: `/readyz` says 503 → the listeners are gone, once whoever the kernel had let in is served →
//! HTTP/1 connections end with their next answer, HTTP/2 ones are told to go (GOAWAY) and finish their streams → what was
//! begun, detached work included, is waited for until [`limits::DRAIN_DEADLINE`] → `serve` returns, spans are sent within
//! two seconds on their own thread, and the process ends with 0. Nothing waits without a deadline of its own.

mod app;
mod body;
mod connection;
mod grpc;
mod limits;
mod signals;
mod traffic;
mod tunnel;

use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use samspill_net::drain::{Drain, DrainWatch};
use samspill_net::{Listener, UnixListener, task};

use crate::test::Door;

pub(crate) use app::{App, is_grpc};
pub(crate) use grpc::{DescriptorsError, GrpcServices};
use limits::DRAIN_DEADLINE;
pub(crate) use signals::Signals;

/// Where a service listens.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(Listener),
    Unix(UnixListener),
    /// A name in a [`TestMesh`](crate::test::TestMesh).
    InProcess(Door),
}

/// Serves until `stop` is ready for the first time, then drains, until it is ready for the second time.
pub(crate) async fn serve(sockets: Vec<Socket>, app: App, drain: Arc<Drain>, mut stop: Signals) {
    let app = app.draining_with(&drain);
    let mut accepting: FuturesUnordered<_> =
        sockets.into_iter().map(|socket| accept_until_drain(socket, app.clone(), drain.watch())).collect();
    drop(app);

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
        Socket::InProcess(door) => tracing::info!(name = door.name(), "serving in this process"),
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
        Socket::InProcess(door) => {
            let (stream, hop) = door.accept().await;
            task::spawn("connection", connection::serve(stream, app.behind(hop), watch));
        }
    }
}

#[cfg(test)]
mod tests;
