//! [`Quiet`]: a future that seldom has something to say, beside one that always has.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

pin_project! {
    /// Polls a future when it was woken itself, not whenever its task was: a connection's drain is not asked after with every
    /// byte that comes.
    #[derive(Debug)]
    pub struct Quiet<F> {
        #[pin]
        future: F,
        bell: Option<Arc<Bell>>,
    }
}

/// The waker that the future is given.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl<F> Quiet<F> {
    /// It is polled at once for the first time.
    pub fn new(future: F) -> Self {
        Self { future, bell: None }
    }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let bell = match this.bell {
            Some(bell) if bell.task.will_wake(context.waker()) => bell,
            // The first poll, or one by another task, which the future does not know.
            bell => bell.insert(Arc::new(Bell { has_rung: AtomicBool::new(true), task: context.waker().clone() })),
        };
        if !bell.has_rung.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // Before the poll, so that no ring is lost that comes during it.
        bell.has_rung.swap(false, Ordering::AcqRel);
        this.future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let polls = AtomicUsize::new(0);
        let mut receiver = pin!(receiver);
        let counted = poll_fn(|context| {
            polls.fetch_add(1, Ordering::Relaxed);
            receiver.as_mut().poll(context)
        });
        let mut quiet = pin!(Quiet::new(counted));
        let mut poll_once = async || poll_fn(|context| Poll::Ready(quiet.as_mut().poll(context))).await;
        for _ in 0..3 {
            assert_eq!(poll_once().await, Poll::Pending);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        sender.send(7).unwrap();
        assert_eq!(poll_once().await, Poll::Ready(Ok(7)));
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn it_wakes_whichever_task_it_is_in() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut quiet = Box::pin(Quiet::new(receiver));
        // Polled here, and then by another task.
        assert!(poll_fn(|context| Poll::Ready(quiet.as_mut().poll(context))).await.is_pending());
        let waiting = crate::task::spawn("waiting", quiet);
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
