//! A service as a process, with nothing around it: the example `hello`, which cargo builds with the tests.

#![cfg(test)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use rustix::process::{Pid, Signal, kill_process};
use samspill::test;
use serde_json::Value;

fn hello() -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.ancestors().nth(2).unwrap().join("examples/hello");
    assert!(program.exists(), "{} is missing: cargo build --example hello", program.display());
    let mut command = Command::new(program);
    command.env_clear().stderr(Stdio::piped());
    command
}

/// A process that is killed with the test.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The log line that says this.
    fn line(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended without saying {message:?}");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_error| panic!("not JSON: {line}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// The exit code, and the rest of the log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

#[tokio::test]
async fn it_serves_where_port_says_and_ends_with_0() {
    let mut running = Running::start(hello().env("PORT", "0").env("GREETING", "Hei"));
    let address: SocketAddr = running.line("serving")["address"].as_str().unwrap().parse().unwrap();
    let client = test::service("test", []).client(format!("127.0.0.1:{}", address.port()));
    let answer: Value = client.get(&test::call(), "/v1/hello/Ada").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["text"], "Hei, Ada!");

    kill_process(Pid::from_child(&running.child), Signal::TERM).unwrap();
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("drained"), "{log}");
}

#[test]
fn wrong_settings_are_told_at_once_and_end_with_64() {
    let (code, log) = Running::start(hello().env("PORT", "eighty").env("SAMSPILL_OUTBOUND", "sidecar")).end();
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("PORT: `eighty`") && log.contains("SAMSPILL_OUTBOUND"), "{log}");
    let (code, log) = Running::start(hello().env("SAMSPILL_SETTINGS", "/nonexistent.yaml")).end();
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("/nonexistent.yaml"), "{log}");
}

#[test]
fn a_port_in_use_is_named_and_ends_with_1() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, log) = Running::start(hello().env("PORT", port.to_string())).end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("0.0.0.0:{port}")) && log.contains("set PORT"), "{log}");
}

#[tokio::test]
async fn it_takes_the_socket_that_it_is_given() {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address: SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    let hello = hello();
    // LISTEN_PID is the process that serves, which only it knows.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\""]).arg(hello.get_program()).stderr(Stdio::piped());
    command.env_clear().envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "http"), ("PORT", "1")]);
    command.fd_mappings(vec![FdMapping { parent_fd: socket, child_fd: 3 }]).unwrap();
    let mut running = Running::start(&mut command);
    assert_eq!(running.line("serving")["address"], address.to_string());
    let answer = test::service("test", []).client(address.to_string()).get(&test::call(), "/livez").send().await;
    assert_eq!(answer.unwrap().status(), 200);
}
