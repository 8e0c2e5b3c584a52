//! What `#[samspill::test]` does to a test: this program runs one of its own tests again and looks at what it says.

use std::process::{Command, Output};
use std::time::Duration;

use tokio::time::Instant;

/// Says to the test that is run again how it ends.
const END: &str = "SAMSPILL_TEST_END";

const LOGGED: &str = "seen by the framework";

fn run_again(end: &str) -> Output {
    let name = "attribute::logs_are_shown_only_when_a_test_fails";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(END, end).env_remove("RUST_LOG").env_remove("NEXTEST_EXECUTION_MODE");
    command.output().unwrap()
}

#[samspill::test]
async fn logs_are_shown_only_when_a_test_fails() -> Result<(), std::num::ParseIntError> {
    if let Some(end) = std::env::var_os(END) {
        tracing::debug!(target: "samspill::server", "{LOGGED}");
        assert_ne!(end, "panic");
        return end.to_str().unwrap().parse::<u16>().map(drop);
    }
    for (end, fails) in [("80", false), ("panic", true), ("eighty", true)] {
        let output = run_again(end);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.success(), !fails, "{end}: {said}");
        assert!(said.contains("1 passed") || said.contains("1 failed"), "{end}: {said}");
        assert_eq!(said.contains(LOGGED), fails, "{end}: {said}");
        assert_eq!(said.contains("InvalidDigit"), end == "eighty", "{end}: {said}");
    }
    Ok(())
}

#[samspill::test(start_paused = true)]
async fn the_clock_is_paused_for_spawned_tasks_too() {
    let before = Instant::now();
    let sleeping = samspill_net::task::spawn("sleeping", tokio::time::sleep(Duration::from_secs(3600)));
    sleeping.await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 3600);
}
