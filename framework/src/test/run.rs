//! What `#[samspill::test]` puts around a test.

use samspill_observability::telemetry;

use crate::settings::Environment;

/// What is logged where `RUST_LOG` says nothing: a failed test shows how the framework saw it.
const LOG_FILTER: &str = "info,samspill=debug";

/// Runs a test that needs no runtime.
#[doc(hidden)]
pub fn run<T>(test: impl FnOnce() -> T) -> T {
    let _captured = capture();
    test()
}

/// Runs a test on a runtime of its own, on this thread.
#[doc(hidden)]
pub fn run_async<T>(start_paused: bool, test: impl Future<Output = T>) -> T {
    let _captured = capture();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(start_paused).build();
    runtime.unwrap_or_else(|error| panic!("the machine gives the test no runtime: {error}")).block_on(test)
}

fn capture() -> telemetry::Captured {
    let environment = Environment::of_process();
    let filter = environment.get("RUST_LOG").unwrap_or(LOG_FILTER);
    telemetry::capture(filter).unwrap_or_else(|error| panic!("{}", samspill_observability::chain(&error)))
}
