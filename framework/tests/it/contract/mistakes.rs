//! What the compiler says of types that are no part of a contract. What the macros say is tested beside them.
//!
//! Not with trybuild: it would compile every dependency of the framework anew, twice.

use std::process::Command;

/// What the compiler says of one file of `tests/compile_fail`.
fn told(mistakes: &str) -> String {
    let cfg = format!("mistakes=\"{mistakes}\"");
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--offline", "--quiet", "--package", "samspill", "--test", "compile_fail", "--color", "never"])
        .args(["--", "--cfg", &cfg, "--diagnostic-width", "140"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "{mistakes} compiles");
    let told = String::from_utf8(output.stderr).unwrap();
    ours(&told)
}

/// Without hints at sources that are not the mistake's, without lists of types that depend on what else is compiled, and without
/// the margin, which is as wide as the longest line number of them all.
fn ours(told: &str) -> String {
    let mut sections: Vec<String> = Vec::new();
    const ENDS: [&str; 6] = ["= ", "|", "-->", "note: ", "help: ", "error"];
    let mut is_list = false;
    for line in told.lines() {
        is_list = match is_list {
            true => !line.is_empty() && !ENDS.iter().any(|end| line.trim_start().starts_with(end)),
            false => line.contains("the following other types implement trait"),
        };
        if is_list {
            continue;
        }
        let line = line.trim_start();
        if sections.is_empty() || ["error", "note: ", "help: "].iter().any(|start| line.starts_with(start)) {
            sections.push(String::new());
        }
        let is_stable = !line.contains("long-type") && !line.contains("`--verbose`") && !line.ends_with(" others");
        if let Some(section) = sections.last_mut().filter(|_| is_stable) {
            section.push_str(line);
            section.push('\n');
        }
    }
    let is_foreign =
        |section: &str| ["framework/src/", "/.cargo/", "/rustlib/"].iter().any(|folder| section.contains(folder));
    let kept = sections.iter().map(|section| match is_foreign(section) {
        false => section.as_str(),
        true if section.ends_with("\n\n") => "\n",
        true => "",
    });
    kept.collect()
}

#[test]
fn a_type_that_does_not_fit_is_told_where_it_is() {
    insta::assert_snapshot!("types", told("types"));
    insta::assert_snapshot!("implementation", told("implementation"));
}
