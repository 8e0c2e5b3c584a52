//! `samspill api`: the documents of contracts, and what may become of them.
//!
//! Reading order: `git` (where documents come from), `contract` (which there are), `pairs` (each with its blessed self), `check`,
//! `diff`, `list` (the verbs), `report` (how changes are shown). What a change means is `samspill-compat`'s matter.

mod git;

mod contract;

mod pairs;

mod check;

mod diff;

mod list;

mod report;

use crate::args::{Api, ApiVerb};
use crate::exit::{Exit, Failure};

pub(crate) fn api(args: &Api) -> Result<Exit, Failure> {
    match &args.verb {
        ApiVerb::Check(args) => check::check(args),
        ApiVerb::Diff(args) => diff::diff(args),
        ApiVerb::List(args) => list::list(args),
    }
}
