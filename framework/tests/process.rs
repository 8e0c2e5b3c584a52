//! A service as a process, with nothing around it: the examples `hello`, `quickstart` and `function`, which cargo builds with
//! the tests.

#![cfg(test)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use rustix::process::{Pid, Signal, kill_process};
use samspill::{CallError, test};
use serde_json::{Value, json};

fn hello() -> Command {
    example("hello")
}

fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --example {name}", program.display());
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

#[tokio::test]
async fn the_service_of_the_readme_is_what_it_says() {
    let (readme, program) = (include_str!("../../README.md"), include_str!("../examples/quickstart.rs"));
    assert!(readme.contains(program), "README.md does not show framework/examples/quickstart.rs as it is");
    let mut running = Running::start(example("quickstart").env("PORT", "0"));
    let address: SocketAddr = running.line("serving")["address"].as_str().unwrap().parse().unwrap();
    let client = test::service("test", []).client(format!("127.0.0.1:{}", address.port()));
    let call = test::call();
    for (path, version) in [("/v1/quotes", None), ("/quotes", Some("1"))] {
        let request = client.post(&call, path).json(&json!({ "grams": 2500 }));
        let request = version.into_iter().fold(request, |request, version| request.header("api-version", version));
        assert_eq!(request.send().await.unwrap().json::<Value>().await.unwrap(), json!({ "cents": 5150 }), "{path}");
    }
    let error = client.post(&call, "/v1/quotes").json(&json!({ "grams": 0 })).send().await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 422);
    for (path, text) in [("/openapi/v1.html", "The price of a parcel"), ("/openapi/v1.json", "\"openapi\": \"3.0.3\"")]
    {
        let document = client.get(&call, path).send().await.unwrap().text().await.unwrap();
        assert!(document.contains(text), "{path}: {document}");
    }
}

#[tokio::test]
async fn a_function_is_a_service() {
    let mut running = Running::start(example("function").env("PORT", "0"));
    let address: SocketAddr = running.line("serving")["address"].as_str().unwrap().parse().unwrap();
    let client = test::service("test", []).client(format!("127.0.0.1:{}", address.port()));
    let call = test::call();
    let order = json!({ "items": [{ "cents": 200, "count": 3 }, { "cents": 50, "count": 1 }] });
    let answer = client.post(&call, "/").json(&order).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "cents": 650 }));

    let error = client.post(&call, "/").json(&json!({ "items": [{ "cents": 1 }] })).send().await.unwrap_err();
    let CallError::Problem(problem) = error else { panic!("{error:?}") };
    assert_eq!((problem.status().as_u16(), problem.errors()[0].field.as_str()), (422, "items[0].count"));
    assert_eq!(client.get(&call, "/").send().await.unwrap_err().status().unwrap().as_u16(), 405);
    assert_eq!(client.get(&call, "/readyz").send().await.unwrap().status(), 200);

    kill_process(Pid::from_child(&running.child), Signal::TERM).unwrap();
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
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

/// Runs to its end: the exit code, standard output, and the log.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_flag_beats_its_variable() {
    let mut hello = hello();
    hello.args(["--greeting=Hei", "--is-loud", "--password", "Ada"]).envs([("PORT", "0"), ("GREETING", "Hallo")]);
    let mut running = Running::start(&mut hello);
    let address: SocketAddr = running.line("serving")["address"].as_str().unwrap().parse().unwrap();
    let client = test::service("test", []).client(format!("127.0.0.1:{}", address.port()));
    let answer: Value = client.get(&test::call(), "/v1/hello/Ada").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["text"], "HEI, FRIEND!");
}

#[test]
fn help_is_one_line_for_each_setting() {
    let expected = "\
Usage: hello [FLAG]...

Settings. A flag beats the variable, which beats the file, which beats the default.

  flag              variable  key in the file
  --greeting VALUE  GREETING  greeting         has a default
  --password VALUE  PASSWORD  password         optional, secret
  --is-loud         IS_LOUD   is_loud          has a default

Every service has

  --settings FILE  SAMSPILL_SETTINGS  the YAML file with the keys above
  --check-config                      say whether the settings are sound, and end
  --print-config                      print the settings and where each comes from, and end
  --help                              print this, and end

and obeys PORT, SAMSPILL_OUTBOUND, OTEL_EXPORTER_OTLP_ENDPOINT and RUST_LOG.
";
    // Also for whoever has settings that are wrong.
    assert_eq!(run(hello().arg("--help").env("PORT", "eighty")), (Some(0), expected.to_owned(), String::new()));
}

#[test]
fn print_config_says_where_each_setting_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.yaml"), "greeting: Hei\n").unwrap();
    let mut command = hello();
    command.current_dir(&folder).args(["--print-config", "--settings", "hello.yaml"]).env("PASSWORD", "hunter2");
    let expected = r#"greeting: "Hei" # hello.yaml
password: "***" # PASSWORD
# is_loud: # default: not given
"#;
    assert_eq!(run(&mut command), (Some(0), expected.to_owned(), String::new()));
    let expected = r#"greeting: "Hallo" # --greeting
# password: # default: not given
is_loud: true # IS_LOUD
"#;
    let mut command = hello();
    command.args(["--print-config", "--greeting=Hallo"]).env("IS_LOUD", "true");
    assert_eq!(run(&mut command), (Some(0), expected.to_owned(), String::new()));
}

#[test]
fn check_config_tells_all_mistakes_and_does_not_serve() {
    let expected = (Some(0), "settings are sound\n".to_owned(), String::new());
    assert_eq!(run(hello().arg("--check-config")), expected);
    // The port is taken: serving would end with 1.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_eq!(run(hello().arg("--check-config").env("PORT", port)), expected);

    let mut command = hello();
    command
        .args(["--check-config", "--greetin", "Hei", "--pasword=hunter2"])
        .envs([("IS_LOUD", "yes"), ("PORT", "eighty")]);
    let (code, out, log) = run(&mut command);
    assert_eq!((code, out.as_str()), (Some(64), ""), "{log}");
    for said in ["--greetin: ", "did you mean `--greeting`?", "--pasword: ", "IS_LOUD: `yes`", "PORT: `eighty`"] {
        assert!(log.contains(said), "{log} does not say {said}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn an_unknown_flag_ends_with_64() {
    let (code, _, log) = run(hello().args(["--port", "80"]));
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("--port: is not a flag of this service"), "{log}");
}

#[tokio::test]
async fn a_service_that_reads_no_settings_refuses_flags_when_it_would_serve() {
    let service = || test::service_with_arguments("test", [], ["--port", "80"]);
    let refused = service().serve(axum::Router::new()).await.unwrap_err().to_string();
    assert!(refused.contains("--port: is not a flag of this service"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let refused = service().serve_unix(socket, axum::Router::new()).await.unwrap_err().to_string();
    assert!(refused.contains("--port: is not a flag of this service"), "{refused}");
}

#[test]
fn a_reader_who_has_read_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(hello().arg("--help").stdout(writer).status().unwrap().success());
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
