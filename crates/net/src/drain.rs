//! Finish what is begun, refuse what is new.
//!
//! A [`DrainWatch`] is both a signal and a count: it tells its holder that the drain has started, and as long as one of
//! its clones lives, there is something to wait for.

use tokio::sync::watch;

/// A new drain, not started.
pub fn channel() -> (Drain, DrainWatch) {
    let (sender, receiver) = watch::channel(false);
    (Drain(sender), DrainWatch(receiver))
}

/// Starts the drain and waits for its end. If it is dropped unstarted, the drain never starts.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

impl Drain {
    /// Tells every [`DrainWatch`]. Starting twice is starting once.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// One more holder to tell and to wait for.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch(self.0.subscribe())
    }

    /// Whether the drain has started.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when no [`DrainWatch`] is left.
    pub async fn finished(&self) {
        self.0.closed().await;
    }
}

/// Held by everything that must end before the drain has.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<bool>);

impl DrainWatch {
    /// Whether the drain has started.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the drain has started. May be dropped and called again.
    pub async fn started(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|draining| *draining).await.is_err() {
            std::future::pending::<()>().await; // nobody is left who could start it
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
        drop(drain);
        assert!(watch.started().now_or_never().is_none() && !watch.is_draining());
    }
}
