//! Folders that are wrong, and exactly what is said.
//!
//! Each `tests/bad/NAME.txt` holds the files of a folder, each after a line `==> FILE`, then what is said after `==> expected`.
//! To write what is said now: `SAMSPILL_BLESS=1 cargo test -p samspill-manifest --test bad`, then read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use std::path::Path;

use samspill_manifest::load;

/// What loading the files of a case says, and what it should say.
fn run(case: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = String::new();
    for section in case.split("==> ").skip(1) {
        let (name, text) = section.split_once('\n').unwrap();
        match name {
            "expected" => expected = text.to_owned(),
            name => std::fs::write(folder.path().join(name), text).unwrap(),
        }
    }
    let found = match load(folder.path()) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(mistakes) => format!("{mistakes}\n"),
    };
    let found = found.replace(&format!("{}/", folder.path().display()), "");
    (found, expected)
}

#[test]
fn each_mistake_is_told_exactly() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut paths: Vec<_> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let bless = std::env::var_os("SAMSPILL_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let case = std::fs::read_to_string(&path).unwrap();
        let (found, expected) = run(&case);
        if bless {
            let files = case.split("==> expected").next().unwrap();
            std::fs::write(&path, format!("{files}==> expected\n{found}")).unwrap();
        } else if found != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}\n--- found\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_cannot_be_text_cases() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("a.yaml", b"kind: x\nname: \xff\n");
    write("b.yaml", &vec![b' '; 1024 * 1024 + 1]);
    write("c.yaml", ("[".repeat(70) + &"]".repeat(70)).as_bytes());
    write("d.yaml", format!("a: [{}]\n", "x,".repeat(10_001)).as_bytes());
    let said = load(folder.path()).unwrap_err().to_string();
    let said = said.replace(&format!("{}/", folder.path().display()), "");
    for expected in [
        "error: the file cannot be read: line 2 is not UTF-8\n  --> a.yaml\n",
        "error: the file cannot be read: it has 1048577 bytes, and 1048576 is the limit\n  --> b.yaml\n",
        "error: more than 64 levels of nesting\n",
        " --> c.yaml:1:66\n",
        "error: more than 10000 nodes in one file\n",
        " --> d.yaml:1:",
        "4 mistakes; nothing was started",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
}

#[test]
fn a_folder_that_is_none_or_empty() {
    let folder = tempfile::tempdir().unwrap();
    let said = load(folder.path()).unwrap_err().to_string();
    assert!(said.starts_with("error: there is no manifest in `"), "{said}");
    let said = load(&folder.path().join("none")).unwrap_err().to_string();
    assert!(said.starts_with("error: there is no folder `"), "{said}");
}

#[test]
fn a_file_in_place_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, "").unwrap();
    let said = load(&file).unwrap_err().to_string();
    let (file, parent) = (file.display(), folder.path().display());
    assert!(said.starts_with(&format!("error: `{file}` is a file\n")), "{said}");
    assert!(said.contains(&format!("hint: give the folder that holds it: `{parent}`\n")), "{said}");
    let said = load(Path::new("Cargo.toml")).unwrap_err().to_string();
    assert!(said.contains("hint: give the folder that holds it: `.`\n"), "{said}");
}

/// A place is a path that a terminal can open, whatever way to the folder was typed.
#[test]
fn places_are_under_the_folder_as_it_was_typed() {
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::tempdir_in(&here).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/a.yaml"), "kind: Servise\n").unwrap();
    let relative = folder.path().strip_prefix(&here).unwrap();
    for typed in [folder.path().to_owned(), relative.to_owned(), relative.join("sub/..")] {
        let said = load(&typed).unwrap_err().to_string();
        let place = format!(" --> {}:1:7\n", typed.join("sub/a.yaml").display());
        assert!(said.contains(&place), "{place:?} is not in:\n{said}");
    }
}

/// What is wrong with a secret is told without the secret.
#[test]
fn a_secret_is_never_shown() {
    const CANARY: &str = "canary7";
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: canary7}\nstringData: {b: [canary7], c: 7}\nspare: canary7\n";
    let local = "secrets:\n  s: {A: {x: canary7}, B: 5, C: canary7, fromEnvFile: .env}\n  t: canary7\nimages: 5\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("samspill.local.yaml"), local).unwrap();
    std::fs::write(folder.path().join(".env"), "canary7\n").unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "kind: Secret\nstringData: {a: canary7, }}\n").unwrap();
    let mistakes = load(folder.path()).unwrap_err();
    assert!(mistakes.count() >= 9, "{mistakes}");
    assert!(!mistakes.to_string().contains(CANARY), "{mistakes}");
    assert!(!format!("{mistakes:?}").contains(CANARY));
}
