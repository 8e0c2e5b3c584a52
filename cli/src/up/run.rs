//! A mesh in this process: in the foreground, or as the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use samspill_net::task::spawn;
use samspill_observability::span::Resource;
use samspill_observability::telemetry::{self, LogFormat};
use samspill_runtime::api::StatusView;
use samspill_runtime::{Event, GaveUp, Runtime, Shutdown};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::environment;
use crate::exit::{Exit, Failure, failure};
use crate::output::{print, say, stdout_has_color, width};

use super::launch::Launch;
use super::screen;

/// Whether somebody looks at stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Person,
    Log,
}

/// Runs the mesh until it is told to stop, and shows the ready screen.
pub(super) fn in_foreground(launch: Launch) -> Result<Exit, Failure> {
    run(launch, Audience::Person)
}

/// Runs the mesh until it is told to stop. Must be called on the main thread: a child dies with the thread that started it.
pub(super) fn run(launch: Launch, audience: Audience) -> Result<Exit, Failure> {
    let settings = telemetry::Settings {
        resource: Resource::default(),
        otlp_endpoint: None,
        // What a person must know comes as an event.
        log_filter: environment::log_filter("error"),
        log_format: LogFormat::Text,
    };
    let _telemetry = telemetry::init(&settings).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let (mesh, events) = Runtime::start(launch.settings()?, launch.intent.clone()).map_err(failure)?;
        let is_cut_short = Arc::new(AtomicBool::new(false));
        spawn(
            "interrupts",
            stop_on_interrupt(signal(SignalKind::interrupt())?, mesh.shutdown(), Arc::clone(&is_cut_short)),
        );
        for stream in signals {
            spawn("signals", drain_on(stream?, mesh.shutdown()));
        }
        spawn("screen", show(events, mesh.status(), launch, audience));
        Box::pin(mesh.run()).await.map_err(|error| gave_up(&error))?;
        say("stopped");
        Ok(if is_cut_short.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Success })
    })
}

/// The words of the controller, which ends as this command does.
fn gave_up(error: &GaveUp) -> Failure {
    Failure::new(error.to_string().trim_start_matches("error: "))
}

/// Ctrl-C: the first is the usual way to end, a second cuts the drain short.
async fn stop_on_interrupt(mut interrupts: Signal, shutdown: Shutdown, is_cut_short: Arc<AtomicBool>) {
    while interrupts.recv().await.is_some() {
        if shutdown.interrupt() {
            is_cut_short.store(true, Ordering::Relaxed);
        }
    }
}

/// Whoever else asks, asks for a drain, however often.
async fn drain_on(mut signals: Signal, shutdown: Shutdown) {
    while signals.recv().await.is_some() {
        shutdown.drain();
    }
}

/// Each event is a line; the ready screen comes once.
async fn show(
    mut events: UnboundedReceiver<Event>,
    status: watch::Receiver<samspill_runtime::Status>,
    launch: Launch,
    audience: Audience,
) {
    while let Some(event) = events.recv().await {
        match event {
            Event::AllReady if audience == Audience::Person => {
                let view = StatusView::from(&*status.borrow());
                let screen = screen::screen(&launch, &view, screen::Stop::Keys, width(), stdout_has_color());
                // Without a reader the mesh goes on.
                let _ = print(&screen);
            }
            // Nothing new is nothing to tell.
            Event::Applied(changes) if changes.is_empty() => {}
            event => say(&event.to_string()),
        }
    }
}
