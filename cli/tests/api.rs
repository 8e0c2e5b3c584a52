//! `samspill api` as a user meets it, in git repositories of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(mut command: Command, folder: &Path) -> Answer {
    // A hook of git that runs the tests must not lend them its repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let Output { status, stdout, stderr } = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

fn api(folder: &Path, args: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samspill"));
    command.arg("api").args(args);
    run(command, folder)
}

fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    for setting in ["user.name=test", "user.email=test@example.com", "init.defaultBranch=main", "commit.gpgSign=false"]
    {
        command.args(["-c", setting]);
    }
    command.args(args);
    let answer = run(command, folder);
    assert_eq!(answer.code, 0, "git {args:?}: {}", answer.stderr);
    answer.stdout
}

fn commit(folder: &Path) {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", "a commit"]);
}

fn write(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const V1: &str = "quotes/openapi/v1.json";
const PROTO: &str = "tracking/proto/shop/v1/shop.proto";

fn document() -> Value {
    let body = |schema: Value| json!({"required": true, "content": {"application/json": {"schema": schema}}});
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let mut answer = body(schema("Quote"));
    answer["description"] = json!("a price");
    answer.as_object_mut().unwrap().remove("required");
    json!({
        "openapi": "3.0.3",
        "info": {"title": "quotes", "version": "1"},
        "paths": {"/v1/quotes": {"post": {"requestBody": body(schema("Request")), "responses": {"200": answer}}}},
        "components": {"schemas": {
            "Request": {"type": "object", "required": ["grams"], "properties": {"grams": {"type": "integer", "minimum": 1}}},
            "Quote": {"type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer", "description": "net"}}},
        }},
    })
}

fn edited(edit: impl FnOnce(&mut Value)) -> String {
    let mut document = document();
    edit(&mut document);
    document.to_string()
}

const SERVICE: &str = "\
syntax = \"proto3\";
package shop.v1;
service Tracking { rpc Get(Parcel) returns (Parcel); }
message Parcel { string id = 1; uint32 grams = 2; }
";

/// A repository whose main branch has one contract of each kind, with a branch checked out.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    write(folder.path(), V1, document().to_string());
    write(folder.path(), PROTO, SERVICE);
    commit(folder.path());
    git(folder.path(), &["switch", "--quiet", "--create", "feature"]);
    folder
}

/// The commit's first seven digits, as reports have it.
fn short(folder: &Path, name: &str) -> String {
    git(folder, &["rev-parse", name])[..7].to_owned()
}

#[test]
fn what_is_blessed_is_refused_with_its_place_and_what_to_do() {
    let folder = repository();
    let folder = folder.path();
    let main = short(folder, "main");
    let same = api(folder, &["check"]);
    let said = format!("all 2 documents are compatible with main ({main}): 2 as blessed\n");
    assert_eq!((same.code, same.stdout.as_str(), same.stderr), (0, "", said));

    write(
        folder,
        V1,
        edited(|document| {
            let schemas = &mut document["components"]["schemas"];
            schemas["Request"]["properties"]["grams"]["minimum"] = json!(5);
            schemas["Quote"]["properties"]["cents"]["description"] = json!("gross");
            schemas["Quote"]["properties"]
                .as_object_mut()
                .unwrap()
                .insert("taxes".to_owned(), json!({"type": "integer"}));
        }),
    );
    let refused = api(folder, &["check"]);
    let expected = "\
quotes/openapi/v1.json: 2 changes refused

  property-added-to-answer: POST /v1/quotes → answer 200 → taxes
    at #/components/schemas/Quote/properties/taxes
    new: integer, optional
    instead: leave it out where v1 is converted; add it in v2

  constraint-narrowed: POST /v1/quotes → request body → grams
    at #/components/schemas/Request/properties/grams/minimum
    minimum 1 → minimum 5
    instead: keep the limit in v1; narrow it in v2
";
    assert_eq!((refused.code, refused.stdout.as_str()), (1, expected), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("2 changes are refused: on main ({main})")), "{}", refused.stderr);
    // It does not help to commit it.
    commit(folder);
    assert_eq!(api(folder, &["check"]).stdout, expected);

    let json: Value = serde_json::from_str(&api(folder, &["check", "-o", "json"]).stdout).unwrap();
    let finding = json!({
        "file": V1, "kind": "openapi", "contract": "quotes", "version": "v1",
        "rule": "constraint-narrowed", "effect": "compatible-for-the-service",
        "pointer": "#/components/schemas/Request/properties/grams/minimum",
        "place": "POST /v1/quotes → request body → grams",
        "was": "minimum 1", "is": "minimum 5", "instead": "keep the limit in v1; narrow it in v2",
    });
    assert_eq!(json[1], finding);
    // On main itself the commit counts, and what is not committed yet is compared with it.
    git(folder, &["branch", "--force", "main"]);
    git(folder, &["switch", "--quiet", "main"]);
    assert_eq!(api(folder, &["check"]).code, 0);
    write(folder, V1, document().to_string());
    assert_eq!(api(folder, &["check"]).code, 1);
}

#[test]
fn words_and_new_versions_are_free() {
    let folder = repository();
    let folder = folder.path();
    write(folder, V1, edited(|document| document["info"]["title"] = json!("prices")));
    write(folder, "quotes/openapi/v2.json", edited(|document| document["paths"] = json!({})));
    let check = api(folder, &["check"]);
    assert_eq!((check.code, check.stdout.as_str()), (0, ""));
    assert!(check.stderr.ends_with(": 1 as blessed, 1 changed within the rules, 1 new\n"), "{}", check.stderr);
    let json = api(folder, &["check", "-o", "json"]);
    assert_eq!(json.stdout, "[]\n");
}

#[test]
fn the_list_shows_what_there_is() {
    let folder = repository();
    let folder = folder.path();
    write(
        folder,
        V1,
        edited(|document| {
            document["x-samspill-deprecated"] = json!({"since": "2026-11-01", "sunset": "2027-05-01"});
        }),
    );
    write(folder, "quotes/openapi/v2.json", document().to_string());
    write(folder, PROTO, SERVICE.replace("uint32", "uint64"));
    let expected = "\
CONTRACT   KIND       VERSION   STATUS                                              OPERATIONS   FILE
quotes     openapi    v1        changed, deprecated 2026-11-01, sunset 2027-05-01   1            quotes/openapi/v1.json
quotes     openapi    v2        new                                                 1            quotes/openapi/v2.json
shop       protobuf   v1        refused                                             1            tracking/proto/shop/v1/shop.proto
";
    let list = api(folder, &["list"]);
    assert_eq!((list.code, list.stdout.as_str(), list.stderr.as_str()), (0, expected, ""));
    let list = api(folder, &["list", "quotes", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let first = json!({
        "contract": "quotes", "kind": "openapi", "version": "v1", "status": "changed", "operations": 1, "file": V1,
        "deprecated": {"since": "2026-11-01", "sunset": "2027-05-01"},
    });
    assert_eq!((list.as_array().unwrap().len(), &list[0]), (2, &first));
    let nothing = tempfile::tempdir_in(folder).unwrap();
    let none = api(nothing.path(), &["list", "."]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.starts_with("there are no contracts"), "{}", none.stderr);
}

#[test]
fn a_version_that_is_gone_is_refused() {
    let folder = repository();
    let folder = folder.path();
    fs::remove_dir_all(folder.join("quotes")).unwrap();
    fs::remove_dir_all(folder.join("tracking")).unwrap();
    let check = api(folder, &["check"]);
    assert_eq!(check.code, 1);
    assert!(check.stdout.contains("document-removed: the whole document\n    at #\n"), "{}", check.stdout);
    assert!(check.stdout.contains("package-removed: the whole document\n    at shop.v1\n"), "{}", check.stdout);
    assert!(api(folder, &["list"]).stdout.contains("quotes     openapi    v1        removed "));
}

#[test]
fn protobuf_grows_in_place() {
    let folder = repository();
    let folder = folder.path();
    write(folder, PROTO, SERVICE.replace("uint32 grams = 2;", "uint32 grams = 2; string from = 3;"));
    assert_eq!(api(folder, &["check"]).code, 0);
    write(folder, PROTO, SERVICE.replace("uint32 grams = 2;", ""));
    let check = api(folder, &["check"]);
    let expected = "\
tracking/proto/shop/v1/shop.proto: 1 change refused

  field-removed: Parcel → grams
    at shop.v1.Parcel.grams
    uint32 grams = 2 → gone
    instead: write `reserved` for its number and for its name, or keep it with `[deprecated = true]`
";
    assert_eq!((check.code, check.stdout.as_str()), (1, expected));
    write(folder, PROTO, SERVICE.replace("uint32 grams = 2;", "reserved 2; reserved \"grams\";"));
    assert_eq!(api(folder, &["check"]).code, 0);
}

#[test]
fn what_counts_is_the_merge_base() {
    let folder = repository();
    let folder = folder.path();
    git(folder, &["switch", "--quiet", "main"]);
    write(folder, "quotes/openapi/v2.json", document().to_string());
    commit(folder);
    git(folder, &["switch", "--quiet", "feature"]);
    assert_eq!(api(folder, &["check"]).code, 0, "v2 came to main later; this branch has never had it");
    // origin/main wins over main.
    git(folder, &["update-ref", "refs/remotes/origin/main", "main"]);
    git(folder, &["merge", "--quiet", "main"]);
    write(folder, "quotes/openapi/v2.json", edited(|document| document["paths"] = json!({})));
    git(folder, &["branch", "--force", "main", "main~1"]);
    let check = api(folder, &["check"]);
    assert_eq!(check.code, 1);
    assert!(check.stderr.contains("on origin/main ("), "{}", check.stderr);
    assert_eq!(api(folder, &["check", "--base", "main"]).code, 0);
    assert_eq!(api(folder, &["check", "tracking"]).code, 0, "only what is below the folder");
}

#[test]
fn what_keeps_it_from_being_said() {
    let folder = repository();
    let folder = folder.path();
    let wrong = |args: &[&str], words: &str| {
        let said = api(folder, args);
        assert_eq!((said.code, said.stdout.as_str()), (64, ""), "{args:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(words), "{args:?}: {}", said.stderr);
    };
    wrong(&["check", "--base", "nope"], "git knows no branch or commit `nope`\n\nhint: ");
    wrong(&["check", "nope"], "`nope` is no folder");
    git(folder, &["branch", "--move", "main", "trunk"]);
    wrong(&["check"], "neither a branch `origin/main` nor `main`");
    git(folder, &["switch", "--quiet", "--orphan", "main"]);
    wrong(&["check", "--base", "trunk"], "no commit yet");
    write(folder, "x", "x");
    commit(folder);
    wrong(&["check", "--base", "trunk"], "HEAD and trunk have no commit in common\n\nhint: ");
    git(folder, &["switch", "--quiet", "feature"]);
    // All mistakes at once.
    write(folder, V1, edited(|document| document["openapi"] = json!("3.1.0")));
    write(folder, "quotes/openapi/v2.json", "{");
    write(folder, "a/openapi/v1.json", [0xff]);
    write(folder, PROTO, SERVICE.replace("uint32", "uint33"));
    wrong(&["list", "--base", "trunk"], "a/openapi/v1.json: stream did not contain valid UTF-8");
    fs::remove_file(folder.join("a/openapi/v1.json")).unwrap();
    for words in [
        "error: quotes/openapi/v1.json: it is OpenAPI 3.1.0; blessed documents are OpenAPI 3.0.3\n",
        "error: quotes/openapi/v2.json: it is not JSON: EOF while parsing an object at line 1 column 1\n",
        "error: tracking/proto/shop/v1/shop.proto:4:33: name 'uint33' is not defined\n",
    ] {
        wrong(&["check", "--base", "trunk"], words);
    }

    let outside = tempfile::tempdir().unwrap();
    let said = api(outside.path(), &["check"]);
    assert_eq!(said.code, 64);
    assert!(said.stderr.contains("is in no git repository\n\nhint: "), "{}", said.stderr);
}

/// Otherwise nobody could ever mend it.
#[test]
fn what_is_blessed_and_cannot_be_read_is_a_warning() {
    let folder = repository();
    let folder = folder.path();
    write(folder, V1, edited(|document| document["openapi"] = json!("3.1.0")));
    commit(folder);
    write(folder, V1, document().to_string());
    let check = api(folder, &["check", "--base", "feature"]);
    assert_eq!(check.code, 0);
    assert!(check.stderr.starts_with("warning: as it is on feature ("), "{}", check.stderr);
    assert!(check.stderr.ends_with("1 as blessed, 1 new\n"), "{}", check.stderr);
}

#[test]
fn diff_says_who_notices() {
    let folder = repository();
    let folder = folder.path();
    let same = api(folder, &["diff", V1, &format!("main:{V1}")]);
    assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (0, "", "no differences\n"));
    let v2 = edited(|document| {
        let schemas = &mut document["components"]["schemas"];
        schemas["Request"]["properties"]["note"] = json!({"type": "string"});
        schemas["Quote"]["properties"]["cents"]["type"] = json!("string");
        schemas["Quote"]["properties"]["cents"]["description"] = json!("gross");
    });
    write(folder, "quotes/openapi/v2.json", v2.replace("/v1/", "/v2/"));
    let expected = "\
breaking: old callers and new services fail each other, and so do new callers and old services (1 change):
  type-changed: POST /v2/quotes → answer 200 → cents
    at #/components/schemas/Quote/properties/cents/type
    integer → string

compatible for callers: old ones go on; new callers need the new service (1 change):
  optional-property-added-to-request: POST /v2/quotes → request body → note
    at #/components/schemas/Request/properties/note
    new: string, optional

documentation: nothing on the wire (1 change):
  documentation-changed: POST /v2/quotes → answer 200 → cents
    at #/components/schemas/Quote/properties/cents/description
    \"net\" → \"gross\"
";
    let diff = api(folder, &["diff", V1, "quotes/openapi/v2.json"]);
    assert_eq!((diff.code, diff.stdout.as_str(), diff.stderr.as_str()), (1, expected, ""));
    let json = api(folder, &["diff", V1, "quotes/openapi/v2.json", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["rule"]), (3, &json!("type-changed")));

    // A path of git begins at the root, or in this folder.
    let below = folder.join("quotes");
    assert_eq!(api(&below, &["diff", "main:./openapi/v1.json", "openapi/v1.json"]).code, 0);
    assert_eq!(api(&below, &["diff", &format!("main:{V1}"), "openapi/v1.json"]).code, 0);

    write(folder, PROTO, SERVICE.replace("uint32 grams", "uint64 grams"));
    let diff = api(folder, &["diff", &format!("main:{PROTO}"), PROTO]);
    assert_eq!(diff.code, 1);
    assert!(diff.stdout.contains("field-type-changed: Parcel → grams\n"), "{}", diff.stdout);

    for (args, words) in [
        (["main:nope.json", V1], "there is no file `nope.json` in main\n\nhint: "),
        (["nope:x.json", V1], "git knows no branch or commit `nope`"),
        (["nope.json", V1], "`nope.json` does not exist\n\nhint: "),
        (["quotes", V1], "`quotes` is a folder: name one document"),
        ([V1, PROTO], "they cannot be compared"),
        ([V1, "Cargo.toml"], "`Cargo.toml` does not exist"),
    ] {
        let said = api(folder, &["diff", args[0], args[1]]);
        assert_eq!((said.code, said.stdout.as_str()), (64, ""), "{args:?}");
        assert!(said.stderr.contains(words), "{args:?}: {}", said.stderr);
    }
}
