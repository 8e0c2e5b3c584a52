//! Tasks with names.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use tokio::task::JoinHandle;

/// Spawns a task. A panic in it is logged with `name`, and seen by whoever awaits the handle; no other task notices.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    // Combinators, because an `async` block would hold the future twice.
    tokio::spawn(AssertUnwindSafe(future).catch_unwind().map(move |outcome| {
        outcome.unwrap_or_else(|panic| {
            tracing::error!(task = name, panic = message(&*panic), "a task panicked");
            resume_unwind(panic)
        })
    }))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::spawn;

    #[tokio::test]
    async fn a_panic_stays_in_its_task() {
        let broken = spawn("broken", async { panic!("on purpose") }).await;
        assert!(broken.is_err_and(|error| error.is_panic()));
        assert_eq!(spawn("sound", async { 1 }).await.unwrap(), 1);
    }
}
