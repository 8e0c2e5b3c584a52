//! The command as a user meets it: what it prints, where, and its exit code.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use samspill_testkit::wait_until;

/// A Deployment without ports: what runs need not listen.
const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper}
spec:
  replicas: 2
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec:
      serviceAccountName: default
      terminationGracePeriodSeconds: 1
      containers:
        - name: sleeper
          image: sleeper:7
          args: [$(SAMSPILL_INSTANCE)]
";
const LOCAL: &str = "images: {sleeper: {exec: sleeper}}\n";
const SLEEPER: &str = "#!/bin/sh\necho \"I am $1\"\nexec sleep 600\n";

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn samspill(folder: &Path, args: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samspill"));
    let Output { status, stdout, stderr } =
        command.args(args).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// Stops what a failed test has left running.
struct Running<'a>(&'a Path);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        samspill(self.0, &["down"]);
    }
}

/// A folder `app` with one Deployment.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    for (name, text) in [("a.yaml", DEPLOYMENT), ("samspill.local.yaml", LOCAL), ("sleeper", SLEEPER)] {
        fs::write(app.join(name), text).unwrap();
    }
    fs::set_permissions(app.join("sleeper"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_mesh_is_started_looked_at_and_stopped() {
    let folder = folder();
    let _running = Running(folder.path());
    let run = |args: &[&str]| samspill(folder.path(), args);
    let up = run(&["up", "app", "--detach", "--http-port", "0"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("sleeper-1 is ready\n"), "{}", up.stderr);
    assert!(up.stderr.ends_with("all is ready\n"), "{}", up.stderr);
    assert!(up.stdout.contains("sleeper   7         2/2     -           -\n"), "{}", up.stdout);
    assert!(up.stdout.contains("samspill down\n"), "{}", up.stdout);

    let again = run(&["up", "app", "--http-port", "0"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("`.samspill` is in use by process"), "{}", again.stderr);

    let instances = run(&["get", "instances", "-o", "json"]);
    let instances: serde_json::Value = serde_json::from_str(&instances.stdout).unwrap();
    let names: Vec<_> = instances.as_array().unwrap().iter().map(|instance| &instance["instance"]).collect();
    assert_eq!(names, ["sleeper-0", "sleeper-1"]);
    for field in ["service", "instance", "version", "pid", "address", "ready", "restarts"] {
        assert!(instances[0].get(field).is_some(), "{field}");
    }

    let certificates = run(&["get", "certificates"]);
    assert!(certificates.stdout.contains("spiffe://samspill.local/ns/default/sa/default"), "{}", certificates.stdout);
    let one = run(&["logs", "sleeper-1"]);
    assert_eq!(one.stdout, "I am sleeper-1\n");
    let both = run(&["logs", "sleeper"]);
    let mut lines: Vec<&str> = both.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["sleeper-0 | I am sleeper-0", "sleeper-1 | I am sleeper-1"]);
    let none = run(&["logs", "sleepr"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("there are: controller, "), "{}", none.stderr);
    let scale = run(&["scale", "sleepr", "--replicas", "3"]);
    assert_eq!(
        (scale.code, scale.stderr.as_str()),
        (1, "error: there is no workload `sleepr`; there are default/sleeper\n")
    );
    let trace = run(&["trace", "4bf9"]);
    assert_eq!(trace.code, 1);
    assert!(trace.stderr.contains("no trace begins with `4bf9`"), "{}", trace.stderr);

    let down = run(&["down"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert!(down.stderr.ends_with("stopped\n"), "{}", down.stderr);
    let gone = run(&["get", "instances"]);
    assert_eq!(gone.code, 1);
    assert!(
        gone.stderr.starts_with("error: no mesh runs with the state folder `.samspill`\n\nhint: "),
        "{}",
        gone.stderr
    );
    assert_eq!(run(&["down"]).code, 0, "stopping what does not run is done");
}

#[tokio::test]
async fn what_has_no_replicas_is_shown_and_can_be_scaled() {
    let folder = folder();
    let none = DEPLOYMENT.replace("replicas: 2", "replicas: 0").replace("sleeper:7", "sleeper:8");
    let none = none.replace("{name: sleeper}", "{name: resting}").replace("app: sleeper", "app: resting");
    fs::write(folder.path().join("app/b.yaml"), none).unwrap();
    let _running = Running(folder.path());
    let run = |args: &[&str]| samspill(folder.path(), args);
    let up = run(&["up", "app", "--detach", "--http-port", "0"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stdout.contains("resting   8         0/0     -           -\n"), "{}", up.stdout);
    assert!(up.stdout.contains("sleeper   7         2/2     -           -\n"), "{}", up.stdout);

    let ready = || {
        let instances = run(&["get", "instances"]).stdout;
        let names = instances.lines().filter(|line| line.contains(" yes ")).filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(ready(), ["sleeper", "sleeper"]);
    assert_eq!(run(&["scale", "resting", "--replicas", "1"]).code, 0);
    wait_until("one more runs", async || ready() == ["resting", "sleeper", "sleeper"]).await;
    let scale = run(&["scale", "sleeper", "--replicas", "0"]);
    assert_eq!(
        (scale.code, scale.stderr.as_str()),
        (0, "default/sleeper shall have 0 instances, until the next `samspill up`\n")
    );
    wait_until("the others are gone", async || ready() == ["resting"]).await;
    assert_eq!(run(&["scale", "resting", "--replicas", "0"]).code, 0);
    wait_until("nothing runs", async || ready().is_empty()).await;
}

#[tokio::test]
async fn kill_9_of_the_daemon_leaves_no_process() {
    let folder = folder();
    // Each copy has a helper, and says its number.
    fs::write(folder.path().join("app/sleeper"), "#!/bin/sh\nsleep 600 &\necho $!\nwait\n").unwrap();
    let _running = Running(folder.path());
    let run = |args: &[&str]| samspill(folder.path(), args);
    let up = run(&["up", "app", "--detach", "--http-port", "0"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    wait_until("both helpers are there", async || run(&["logs", "sleeper"]).stdout.lines().count() == 2).await;
    let helpers = run(&["logs", "sleeper"]).stdout;
    let helpers = helpers.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned());
    let instances: serde_json::Value = serde_json::from_str(&run(&["get", "instances", "-o", "json"]).stdout).unwrap();
    let pids = instances.as_array().unwrap().iter().flat_map(|instance| [&instance["pid"], &instance["sidecar_pid"]]);
    let all: Vec<String> = pids.map(ToString::to_string).chain(helpers).collect();
    assert_eq!(all.iter().filter(|pid| is_alive(pid)).count(), 6, "{all:?}");

    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join(".samspill/runtime.json")).unwrap()).unwrap();
    assert!(Command::new("kill").args(["-9", &state["pid"].to_string()]).status().unwrap().success());
    wait_until("nothing is left", async || !all.iter().any(|pid| is_alive(pid))).await;
    assert!(run(&["down"]).stderr.starts_with("nothing to stop"));
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_store_that_cannot_be_used_ends_up_in_words_and_is_left_alone() {
    let folder = folder();
    let _running = Running(folder.path());
    let store = folder.path().join(".samspill/controller.redb");
    let up = |further: &[&str]| samspill(folder.path(), &[&["up", "app", "--http-port", "0"], further].concat());
    assert_eq!(up(&["--detach"]).code, 0);
    assert_eq!(samspill(folder.path(), &["down"]).code, 0);

    for detach in [&[][..], &["--detach"]] {
        let domain = up(&[&["--trust-domain", "other.org"], detach].concat());
        assert_eq!((domain.code, domain.stdout.as_str()), (1, ""));
        let expected = "error: the store belongs to the trust domain `samspill.local`, asked for is `other.org`; \
                        use another --state-dir for another trust domain\n";
        assert_eq!(domain.stderr, expected);
    }
    let usual = up(&["--detach"]);
    assert!(usual.code == 0 && !usual.stderr.contains("new"), "nothing was lost: {}", usual.stderr);
    assert_eq!(samspill(folder.path(), &["down"]).code, 0);

    fs::write(&store, "rubbish").unwrap();
    let damaged = up(&[]);
    assert_eq!((damaged.code, damaged.stdout.as_str()), (1, ""));
    assert!(damaged.stderr.contains("controller.redb is damaged: "), "{}", damaged.stderr);
    assert_eq!(damaged.stderr.lines().count(), 1, "{}", damaged.stderr);
    assert_eq!(fs::read(&store).unwrap(), b"rubbish");
}

#[test]
fn what_has_changed_is_told() {
    let folder = folder();
    let _running = Running(folder.path());
    let told = || {
        let up = samspill(folder.path(), &["up", "app", "--detach", "--http-port", "0"]);
        assert_eq!(up.code, 0, "{}", up.stderr);
        let lines = up.stderr.lines().filter(|line| !line.ends_with(" ready")).map(str::to_owned);
        lines.collect::<Vec<String>>()
    };
    let down = || assert_eq!(samspill(folder.path(), &["down"]).code, 0);
    assert_eq!(told(), ["new in this state folder: 1 workload"]);
    assert_eq!(samspill(folder.path(), &["scale", "sleeper", "--replicas", "1"]).code, 0);
    down();
    fs::write(folder.path().join("app/a.yaml"), DEPLOYMENT.replace("sleeper:7", "sleeper:8")).unwrap();
    let by_hand = "default/sleeper was scaled to 1 by hand and has 2 replicas again, as the files say";
    assert_eq!(told(), [by_hand, "default/sleeper has another version"]);
    down();
    assert_eq!(told(), Vec::<String>::new());
}

#[test]
fn wrong_files_are_refused_before_anything_starts() {
    let folder = folder();
    fs::write(folder.path().join("app/a.yaml"), DEPLOYMENT.replace("replicas", "replica")).unwrap();
    let up = samspill(folder.path(), &["up", "app"]);
    assert_eq!((up.code, up.stdout.as_str()), (64, ""));
    assert!(up.stderr.contains("hint: did you mean `replicas`?"), "{}", up.stderr);
    assert!(up.stderr.ends_with("1 mistake; nothing was started\n"), "{}", up.stderr);
    assert!(!folder.path().join(".samspill").exists());
}

#[test]
fn a_used_port_is_refused_before_anything_starts() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let up = samspill(folder.path(), &["up", "app", "--http-port", &port]);
    assert_eq!(up.code, 1);
    assert!(up.stderr.contains(&format!("port {port} is in use by")), "{}", up.stderr);
    assert!(up.stderr.contains("--http-port"), "{}", up.stderr);
    assert!(!folder.path().join(".samspill").exists());
}

#[test]
fn a_program_that_cannot_be_found_lists_what_was_tried() {
    let folder = folder();
    fs::remove_file(folder.path().join("app/sleeper")).unwrap();
    let up = samspill(folder.path(), &["up", "app", "--http-port", "0"]);
    assert_eq!(up.code, 64);
    assert!(up.stderr.contains("app/sleeper, from `exec`: No such file or directory"), "{}", up.stderr);
}

#[test]
fn help_is_data_and_wrong_usage_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let help = samspill(folder.path(), &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Usage: samspill"), "{}", help.stdout);
    for wrong in [
        &["bogus"][..],
        &["up"],
        &["up", "x", "--leaf-ttl", "5"],
        &["up", "x", "--otlp-endpoint", "127.0.0.1:4317"],
        &["get", "pods"],
        &["trace", "xyz"],
    ] {
        let said = samspill(folder.path(), wrong);
        assert_eq!((said.code, said.stdout.as_str()), (64, ""), "{wrong:?}");
        assert!(said.stderr.starts_with("error: "), "{wrong:?}: {}", said.stderr);
    }
    // They are the runtime's; a person who types them is told so.
    let controller = samspill(folder.path(), &["controller"]);
    assert_eq!(controller.code, 1);
    assert!(controller.stderr.contains("started by `samspill up`"), "{}", controller.stderr);
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samspill"));
    command.arg("check").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
