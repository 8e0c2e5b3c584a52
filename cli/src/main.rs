//! The command `samspill`.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    samspill_cli::main()
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stderr, reason = "all that the command does here")]
fn main() -> std::process::ExitCode {
    eprintln!(
        "error: samspill runs on Linux only: it lets the kernel end and name processes in ways others do not have"
    );
    std::process::ExitCode::FAILURE
}
