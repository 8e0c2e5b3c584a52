//! How an error is written into a log: with all its causes.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources, outermost first, joined by `: `.
///
/// Our errors do not print their sources themselves, so that each cause is said once.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    Chain(error)
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            // Errors from other crates often print their source too: what was said is not said again.
            let text = error.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("cannot open the store")]
        Open(#[source] Box<Sample>),
        #[error("the file is locked")]
        Locked,
        #[error("cannot start: {0}")]
        PrintsItsSource(#[source] Box<Sample>),
    }

    fn check(error: &Sample, expected: &str) {
        assert_eq!(chain(error).to_string(), expected);
    }

    #[test]
    fn each_cause_is_said_once() {
        check(&Sample::Locked, "the file is locked");
        check(&Sample::Open(Box::new(Sample::Locked)), "cannot open the store: the file is locked");
        check(&Sample::PrintsItsSource(Box::new(Sample::Locked)), "cannot start: the file is locked");
        check(
            &Sample::Open(Box::new(Sample::PrintsItsSource(Box::new(Sample::Locked)))),
            "cannot open the store: cannot start: the file is locked",
        );
    }
}
