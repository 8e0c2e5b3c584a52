//! `samspill check`.

use crate::args::Check;
use crate::exit::{Exit, Failure};
use crate::machine;
use crate::output::print;

pub(crate) fn check(args: &Check) -> Result<Exit, Failure> {
    let findings = [
        ("kernel", machine::kernel()),
        ("cargo", machine::cargo()),
        ("C compiler", machine::c_compiler()),
        ("port", machine::port(args.http_port)),
        ("state folder", machine::state_dir(&args.state.state_dir)),
        ("open files", machine::open_files()),
    ];
    let problems = findings.iter().filter(|(_, finding)| finding.is_err()).count();
    print(&report(&findings))?;
    Ok(if problems == 0 { Exit::Success } else { Exit::Failed })
}

fn report(findings: &[(&str, Result<String, Failure>)]) -> String {
    let mut text = String::new();
    for (what, finding) in findings {
        let (state, told) = match finding {
            Ok(told) => ("ok", told.clone()),
            Err(failure) => {
                let told =
                    failure.text.trim_start_matches("error: ").replace("\n\nhint: ", "\n                        ");
                ("problem", told)
            }
        };
        text.push_str(&format!("{state:<8} {what:<14} {told}\n"));
    }
    let problems = findings.iter().filter(|(_, finding)| finding.is_err()).count();
    text.push_str(&match problems {
        0 => "\nThis machine can run it: samspill up DIR\n".to_owned(),
        1 => "\n1 problem\n".to_owned(),
        problems => format!("\n{problems} problems\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_says_what_to_type() {
        let bad = Failure::new("no cargo").hint("install it");
        let said = report(&[("kernel", Ok("Linux 6".to_owned())), ("cargo", Err(bad))]);
        let expected = "\
ok       kernel         Linux 6
problem  cargo          no cargo
                        install it

1 problem
";
        assert_eq!(said, expected);
        assert!(
            report(&[("kernel", Ok("Linux 6".to_owned()))]).ends_with("This machine can run it: samspill up DIR\n")
        );
    }
}
