//! Finish what is begun, refuse what is new.
//!
//! A [`DrainWatch`] is both a signal and a count: it tells its holder that the drain has started, and as long as one of
//! its clones lives, there is something to wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// A new drain, not started.
pub fn channel() -> (Drain, DrainWatch) {
    let (started, receiver) = watch::channel(());
    let is_draining = Arc::new(AtomicBool::new(false));
    (Drain { started, is_draining: Arc::clone(&is_draining) }, DrainWatch { started: receiver, is_draining })
}

/// Starts the drain and waits for its end. If it is dropped unstarted, the drain never starts.
#[derive(Debug)]
pub struct Drain {
    started: watch::Sender<()>,
    /// Asked with every answer, where the channel's lock would be dear.
    is_draining: Arc<AtomicBool>,
}

impl Drain {
    /// Tells every [`DrainWatch`]. Starting twice is starting once.
    pub fn start(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.started.send_replace(());
    }

    /// One more holder to tell and to wait for.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { started: self.started.subscribe(), is_draining: Arc::clone(&self.is_draining) }
    }

    /// Whether the drain has started.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Returns when no [`DrainWatch`] is left.
    pub async fn finished(&self) {
        self.started.closed().await;
    }
}

/// Held by everything that must end before the drain has.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    started: watch::Receiver<()>,
    is_draining: Arc<AtomicBool>,
}

impl DrainWatch {
    /// Whether the drain has started.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Returns when the [`Drain`] is gone: nobody waits any longer, and what is left is to be cut. May be dropped and
    /// called again.
    pub async fn over(&self) {
        let mut receiver = self.started.clone();
        while receiver.changed().await.is_ok() {}
    }

    /// Returns when the drain has started. May be dropped and called again.
    pub async fn started(&self) {
        let mut receiver = self.started.clone();
        while !self.is_draining() {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await; // nobody is left who could start it
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::channel;

    #[tokio::test]
    async fn it_starts_once_and_ends_with_the_last_watch() {
        let (drain, watch) = channel();
        let second = watch.clone();
        assert!(!watch.is_draining() && watch.started().now_or_never().is_none());
        assert!(!drain.is_draining());

        drain.start();
        drain.start();
        second.started().await;
        assert!(watch.is_draining() && drain.is_draining());

        drop(watch);
        assert!(drain.finished().now_or_never().is_none());
        drop(second);
        drain.finished().await;
    }

    #[test]
    fn a_dropped_drain_never_starts() {
        let (drain, watch) = channel();
        assert!(watch.over().now_or_never().is_none());
        drop(drain);
        assert!(watch.started().now_or_never().is_none() && !watch.is_draining());
        assert!(watch.over().now_or_never().is_some());
    }
}
