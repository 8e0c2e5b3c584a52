//! `samspill new` as a user meets it: what it writes, that this is sound, and that it never overwrites anything.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// `samspill new …`, typed in a folder.
fn new(folder: &Path, arguments: &str) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samspill"));
    run(command.arg("new").args(arguments.split(' ')).current_dir(folder))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every path below a folder, with the text of files.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() {
                found.insert(format!("{name}/"), String::new());
                folders.push(path);
            } else {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// A workspace of somebody else's, with nothing that could be inherited.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [] # none yet\n").unwrap();
    folder
}

#[test]
fn the_files_of_a_service_in_a_new_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let made = new(folder.path(), "service orders --path shop");
    assert_eq!(made.code, 0, "{}", made.stderr);
    insta::assert_snapshot!(
        made.stdout.replace(Path::new(env!("CARGO_BIN_EXE_samspill")).to_str().unwrap(), "samspill")
    );
    let tree = tree(&folder.path().join("shop"));
    let told = made.stdout.lines().filter_map(|line| line.strip_prefix("new      shop/"));
    let mut told: Vec<&str> = told.collect();
    told.sort_unstable();
    let files: Vec<&String> = tree.keys().filter(|path| !path.ends_with('/')).collect();
    assert_eq!(files, told);
    for (path, text) in tree.iter().filter(|(path, _)| *path != "Cargo.lock") {
        assert!(!text.contains("{{"), "{path} has a hole");
    }
}

/// A newcomer's first two services, built and tried as CI would. Registry crates are those of this workspace's own build.
#[test]
fn what_is_generated_compiles_without_warnings_and_its_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(new(folder.path(), "service orders --path shop").code, 0);
    let shop = folder.path().join("shop");
    let second = new(&shop, "api zebra-crossing");
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stdout.contains("changed  Cargo.toml: workspace members zebra-crossing-api\n"), "{}", second.stdout);

    let target = Path::new(env!("CARGO_BIN_EXE_samspill")).parent().unwrap().parent().unwrap();
    let cargo = |arguments: &str| {
        let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        command.args(arguments.split(' ')).current_dir(&shop).env("CARGO_TARGET_DIR", target);
        let ran = run(command.env_remove("RUSTFLAGS").env_remove("RUSTDOCFLAGS"));
        assert_eq!(ran.code, 0, "cargo {arguments}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    cargo("fmt --all --check");
    let tested = cargo("test --offline --workspace");
    for test in ["people_are_greeted_in_their_language", "the_contract_is_kept"] {
        assert!(tested.contains(&format!("{test} ... ok\n")), "{tested}");
    }
    assert_eq!(tested.matches("the_documents_are_those_that_are_committed ... ok\n").count(), 2, "{tested}");
    cargo("clippy --offline --workspace --all-targets -- -D warnings");
}

/// As a member of this repository: the glob has it, versions, lints and the namespace come from what is there.
#[test]
fn inside_of_craterate() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository();
    let files = Command::new("git").args(["ls-files", "-z"]).current_dir(&repository).output().unwrap().stdout;
    for path in String::from_utf8(files).unwrap().split_terminator('\0') {
        let copy = folder.path().join(path);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(repository.join(path), copy).unwrap();
    }
    let craterate = folder.path().join("examples/craterate");
    let root = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();

    let refused = new(folder.path(), "service customs --path examples/craterate --samspill .");
    assert_eq!(refused.code, 64, "{}", refused.stderr);
    let made = new(folder.path(), "service customs --path examples/craterate");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let changed: Vec<&str> = made.stdout.lines().filter(|line| line.starts_with("changed")).collect();
    assert_eq!(changed, ["changed  examples/craterate/samspill.local.yaml: the program of craterate/customs"]);
    assert!(made.stdout.contains("\n  cargo test -p customs -p customs-api\n"), "{}", made.stdout);
    assert_eq!(fs::read_to_string(folder.path().join("Cargo.toml")).unwrap(), root);
    let local = fs::read_to_string(craterate.join("samspill.local.yaml")).unwrap();
    assert!(local.contains("\n  craterate/customs:\n    build: { package: customs }\n\n"), "{local}");
    insta::assert_snapshot!(fs::read_to_string(craterate.join("customs/Cargo.toml")).unwrap());
    let manifest = fs::read_to_string(craterate.join("customs/customs.yaml")).unwrap();
    assert_eq!(manifest.matches("namespace: craterate\n").count(), 4, "{manifest}");

    // Cargo has both as members.
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    let metadata = run(cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(folder.path()));
    for package in ["customs", "customs-api"] {
        assert!(metadata.stdout.contains(&format!("\"name\":\"{package}\"")), "{}", metadata.stderr);
    }
    let again = new(folder.path(), "api customs");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("has a package `customs-api` already"), "{}", again.stderr);
}

#[test]
fn a_workspace_without_entries_gets_what_is_missing() {
    let folder = workspace();
    let made = new(folder.path(), "service orders --path services");
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.contains("changed  Cargo.toml: workspace members services/orders, services/orders/api\n"));
    assert_eq!(
        fs::read_to_string(folder.path().join("Cargo.toml")).unwrap(),
        "[workspace]\nresolver = \"3\"\nmembers = [\"services/orders\", \"services/orders/api\"] # none yet\n"
    );
    let manifest = fs::read_to_string(folder.path().join("services/orders/api/Cargo.toml")).unwrap();
    let path = repository().join("framework");
    for line in ["edition = \"2024\"", "schemars = \"1.2\"", &format!("samspill = {{ path = \"{}\" }}", path.display())]
    {
        assert!(manifest.lines().any(|found| found == line), "{line}: {manifest}");
    }
    assert!(!manifest.contains("workspace"), "{manifest}");
}

/// What cannot be changed line by line is left to the user, and said.
#[test]
fn images_in_braces_are_left_alone() {
    let folder = workspace();
    let local = "images: {sleeper: {exec: sleeper}}\n";
    let deployment = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper, namespace: night}
spec:
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec: {serviceAccountName: default, containers: [{name: sleeper, image: 'sleeper:7'}]}
";
    fs::write(folder.path().join("samspill.local.yaml"), local).unwrap();
    fs::write(folder.path().join("sleeper.yaml"), deployment).unwrap();
    let made = new(folder.path(), "service orders");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let by_hand = "`images` in samspill.local.yaml needs an entry\n  night/orders: { build: { package: orders } }\n";
    assert!(made.stdout.contains(by_hand), "{}", made.stdout);
    assert_eq!(fs::read_to_string(folder.path().join("samspill.local.yaml")).unwrap(), local);
}

/// Each refusal leaves everything as it was.
#[test]
fn nothing_is_overwritten() {
    let folder = workspace();
    fs::create_dir(folder.path().join("orders")).unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    fs::create_dir(folder.path().join("wrong")).unwrap();
    fs::write(folder.path().join("wrong/samspill.local.yaml"), "imags: {}\n").unwrap();
    let before = tree(folder.path());
    for (arguments, code, why) in [
        ("service orders", 1, "`orders` exists already"),
        ("service Orders", 64, "use a-z, 0-9 and inner hyphens"),
        ("service async", 64, "it is a keyword of Rust"),
        ("service greeting", 64, "its trait would need the name `Greeting`"),
        ("api orders-api", 64, "leave `-api` out: orders"),
        ("api invoices --samspill wrong", 64, "`wrong` is no checkout of Samspill"),
        ("service invoices --path wrong", 64, "imags"),
        ("service invoices --path file", 1, "`file` is no folder"),
        ("service", 64, "<NAME>"),
        ("crate invoices", 64, "[possible values: service, api]"),
    ] {
        let refused = new(folder.path(), arguments);
        assert_eq!(refused.code, code, "{arguments}: {}", refused.stderr);
        assert!(refused.stderr.contains(why), "{arguments}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{arguments}");
        assert_eq!(tree(folder.path()), before, "{arguments}");
    }
}

#[test]
fn outside_of_a_workspace_the_folder_must_be_free() {
    let folder = tempfile::tempdir().unwrap();
    let make = || new(folder.path(), "service orders");
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    let refused = make();
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("`.` is in no cargo workspace, and is not empty (`notes.txt`)"),
        "{}",
        refused.stderr
    );
    fs::rename(folder.path().join("notes.txt"), folder.path().join(".gitignore")).unwrap();
    let made = make();
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "");

    let package = tempfile::tempdir().unwrap();
    fs::write(package.path().join("Cargo.toml"), "[package]\nname = \"mine\"\n").unwrap();
    let refused = new(package.path(), "service orders");
    assert!(refused.stderr.contains("`Cargo.toml` is a package, not a workspace"), "{}", refused.stderr);
}

/// The last step fails, and all before it is taken back.
#[test]
fn a_failure_half_way_is_undone() {
    let folder = workspace();
    let before = tree(folder.path());
    // A link that leads nowhere is no file that could be read, and no place that is free.
    fs::create_dir(folder.path().join("shop")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("shop/samspill.local.yaml")).unwrap();
    let refused = new(folder.path(), "service orders --path shop");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("samspill.local.yaml`: File exists"), "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
    fs::remove_file(folder.path().join("shop/samspill.local.yaml")).unwrap();
    fs::remove_dir(folder.path().join("shop")).unwrap();
    assert_eq!(tree(folder.path()), before);
}
