//! What can be said on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use samspill_model::identity::DEFAULT_TRUST_DOMAIN;

/// A service mesh for real Kubernetes manifests, on this machine, in one command.
#[derive(Debug, Parser)]
#[command(name = "samspill", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Begin with: samspill check, then samspill up DIR
Exit codes: 0 done · 1 failed · 64 wrong command line or manifest · 130 interrupted")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build and run all that a folder of manifests describes
    Up(Up),
    /// Drain and stop what runs
    Down(State),
    /// Show services, instances, routes or certificates
    Get(Get),
    /// Show what an instance, its sidecar, the edge or the controller has written
    Logs(Logs),
    /// Change how many instances of a service run, until the next `up`
    Scale(Scale),
    /// Draw a request's whole way; without an id, list the newest traces
    Trace(Trace),
    /// Can this machine run it? What is wrong, and what to type
    Check(Check),
    /// Keep published contracts as they are: check, compare and list their documents
    Api(Api),
    /// Write a new service or a new API, with its test, ready to run
    New(New),
    /// Run one proxy (the runtime does this)
    Proxy(Proxy),
    /// Run the controller (the runtime does this)
    Controller(Controller),
    #[command(name = "__exec", hide = true)]
    Exec(Exec),
    #[command(name = "__guard", hide = true)]
    Guard {
        /// Whose guard it is: for whoever reads a list of processes
        state_dir: PathBuf,
    },
    #[command(name = "__daemon", hide = true)]
    Daemon,
}

/// The folder that everything about a running mesh is kept in.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct State {
    /// Folder of all that lasts
    ///
    /// One mesh uses it at a time. What is in it: docs/reference/command.md
    #[arg(long, value_name = "DIR", default_value = ".samspill")]
    pub(crate) state_dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Ctrl-C drains and stops; a second Ctrl-C stops at once.")]
#[command(after_long_help = "\
What the files say wins over what `scale` has said; what has changed since the last time is told.
Ctrl-C drains: the edge first, each service next, its sidecar last. A second Ctrl-C stops at once.")]
pub(crate) struct Up {
    /// Folder of Kubernetes manifests, with a samspill.local.yaml
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Return when ready, and go on in the background
    #[arg(long)]
    pub(crate) detach: bool,
    /// The edge's port on 127.0.0.1; 0 takes a free one [default: that of samspill.local.yaml, else 8080]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub(crate) http_port: Option<u16>,
    #[command(flatten)]
    pub(crate) state: State,
    /// Where spans are forwarded to, by OTLP over gRPC
    ///
    /// Nobody need listen there: it is tried again in the background.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4317", value_parser = endpoint)]
    pub(crate) otlp_endpoint: String,
    /// How long a certificate is valid
    ///
    /// With a unit: 90s, 15m, 1h30m. It is renewed at half of that.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) leaf_ttl: Duration,
    /// The trust domain of all identities
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TRUST_DOMAIN, value_parser = trust_domain)]
    pub(crate) trust_domain: String,
}

#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  samspill get instances
  samspill get instances -o json | jq -r '.[].pid'")]
pub(crate) struct Get {
    /// What to show
    #[arg(value_enum)]
    pub(crate) what: What,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Each port that callers can name, and the ready endpoints behind it
    #[value(aliases = ["service", "svc"])]
    Services,
    /// Each running copy of a workload
    #[value(alias = "instance")]
    Instances,
    /// What the edge does with a path
    #[value(alias = "route")]
    Routes,
    /// Each identity, who proves it, and until when
    #[value(alias = "certificate")]
    Certificates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns for people
    Table,
    /// An array of objects
    Json,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  samspill logs invoicing -f
  samspill logs invoicing-0.sidecar --tail 20")]
pub(crate) struct Logs {
    /// A service (all its instances), an instance, `INSTANCE.sidecar`, `edge` or `controller`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Go on showing what is written
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin with this many of the newest lines [default: all that are kept]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) tail: Option<u32>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "A copy that goes away is taken out of all proxies first, then drained: no request is lost.")]
pub(crate) struct Scale {
    /// The Deployment's name, or NAMESPACE/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How many instances shall run
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) replicas: u32,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Every answer of the edge has its trace's id in the header `traceresponse`.")]
pub(crate) struct Trace {
    /// A trace id, its first digits, or a whole `traceresponse` header
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    /// The port that the edge would use
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_HTTP_PORT, value_parser = port)]
    pub(crate) http_port: u16,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "\
A contract's documents are committed files: openapi/NAME/v1.json or openapi/v1.json (OpenAPI 3.0.3),
and .proto files below proto/. What is on the main branch is blessed: others may be built from it.")]
pub(crate) struct Api {
    #[command(subcommand)]
    pub(crate) verb: ApiVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiVerb {
    /// Refuse a change to a blessed version that a caller could notice
    #[command(after_help = "\
Examples:
  samspill api check
  samspill api check examples/craterate --base origin/release
Exit codes: 0 all is compatible · 1 refused · 64 it cannot be said
The rules: docs/reference/contract-rules.md")]
    Check(ApiTree),
    /// Show what has changed between two documents, and who notices
    Diff(ApiDiff),
    /// Show all contracts and versions
    List(ApiTree),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ApiTree {
    /// Only what is below this folder [default: the whole git repository]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The branch or commit that blesses; what counts is its merge base with HEAD [default: origin/main, else main]
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  samspill api diff openapi/v1.json openapi/v2.json
  samspill api diff main:openapi/v2.json openapi/v2.json
Exit codes: 0 the same · 1 they differ · 64 they cannot be compared")]
pub(crate) struct ApiDiff {
    /// The older document: a file, or REF:PATH for one that git has
    #[arg(value_name = "A")]
    pub(crate) old: String,
    /// The newer document
    #[arg(value_name = "B")]
    pub(crate) new: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Nothing is ever overwritten. Examples:
  samspill new service orders --path shop
  samspill new api orders")]
pub(crate) struct New {
    /// What to write
    #[arg(value_enum)]
    pub(crate) what: Kind,
    /// The name that callers use: a-z, 0-9 and inner hyphens, a letter first
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The folder to write it in, beside the other services
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) path: PathBuf,
    /// The checkout of Samspill to build with [default: the one that this command was built from]
    ///
    /// Not needed in a workspace whose `[workspace.dependencies]` have `samspill`.
    #[arg(long, value_name = "DIR")]
    pub(crate) samspill: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A service NAME with its API and its manifest
    Service,
    /// Only the API, as a crate NAME-api
    Api,
}

/// Where the edge listens if nobody says otherwise.
pub(crate) const DEFAULT_HTTP_PORT: u16 = 8080;

/// The descriptors come from the parent: `admin`, `token`, and `edge` or `outbound` and `inbound-PORT`.
#[derive(Debug, ClapArgs)]
#[command(override_usage = "samspill proxy [OPTIONS]")]
pub(crate) struct Proxy {
    /// Serve strangers instead of standing beside an instance
    #[arg(long)]
    pub(crate) edge: bool,
    /// The instance's name
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: String,
    /// Its workload
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: String,
    /// The workload's namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: String,
    /// The workload's ServiceAccount
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: String,
    /// The workload's version
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub(crate) workload_version: String,
    /// The trust domain of all identities
    #[arg(long, value_name = "NAME", value_parser = trust_domain)]
    pub(crate) trust_domain: String,
    /// Where the controller serves ADS
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) controller: SocketAddr,
    /// The Unix socket that the first certificate comes from
    #[arg(long, value_name = "PATH")]
    pub(crate) bootstrap: PathBuf,
    /// Where spans go, by OTLP over gRPC
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: String,
    /// How much of what begins here is traced, from 0 to 1
    #[arg(long, value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub(crate) sample_ratio: f64,
}

/// The descriptors come from the parent: `ads`, `bootstrap`, `api` and `runtime`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Controller {
    #[command(flatten)]
    pub(crate) state: State,
    /// The trust domain of all identities
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TRUST_DOMAIN, value_parser = trust_domain)]
    pub(crate) trust_domain: String,
    /// How long a certificate is valid, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(2..))]
    pub(crate) leaf_ttl_seconds: u64,
    /// Where spans go, by OTLP over gRPC
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Exec {
    #[arg(long)]
    pub(crate) parent: u32,
    pub(crate) program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<OsString>,
}

/// `90s`, `15m`, `1h`, or several of them: `1h30m`. A number alone says no unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration with its unit, such as 90s, 15m or 1h".to_owned();
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let factor = match after.as_bytes().first() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_error| wrong())?;
        total = number.checked_mul(factor).and_then(|seconds| total.checked_add(seconds)).ok_or_else(wrong)?;
        rest = &after[1..];
    }
    match total {
        0 | 1 => Err("expected at least 2s".to_owned()),
        total if total > 10 * 365 * 86_400 => Err("expected ten years at most".to_owned()),
        total => Ok(Duration::from_secs(total)),
    }
}

/// The exporter speaks no TLS: a collector on another machine is reached through one on this.
fn endpoint(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
    match authority {
        Some(authority) if http::uri::Authority::port(&authority).is_some() => Ok(text.to_owned()),
        _ => Err("expected http://HOST:PORT".to_owned()),
    }
}

/// clap's own words for a number are those of Rust's standard library.
fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_error| "expected a number from 0 to 65535".to_owned())
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_error| "expected a whole number, 0 or more".to_owned())
}

fn trust_domain(text: &str) -> Result<String, String> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_".contains(&c);
    if (1..=255).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("expected lower-case letters, digits, `.`, `-` and `_`, such as samspill.local".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("1h30m"), Ok(5400));
        for text in ["", "5", "1d", "h", "-1s", "1.5h", "1s", "99999999999999999999s", "999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    /// The page is written by hand; what it must not forget is checked.
    #[test]
    fn the_reference_page_has_every_verb_flag_and_exit_code() {
        let page = include_str!("../../docs/reference/command.md");
        let mut command = Args::command();
        command.build();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let heading = format!("\n## `samspill {}", verb.get_name());
            let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}"));
            let section = section.split("\n## ").next().unwrap();
            for flag in verb.get_arguments().filter_map(|argument| argument.get_long()).filter(|flag| *flag != "help") {
                assert!(section.contains(&format!("--{flag}")), "{} --{flag}", verb.get_name());
            }
            for value in verb.get_arguments().flat_map(|argument| argument.get_possible_values()) {
                assert!(section.contains(value.get_name()), "{} {}", verb.get_name(), value.get_name());
            }
            for below in verb.get_subcommands() {
                let heading = format!("\n### `samspill {} {}", verb.get_name(), below.get_name());
                assert!(section.contains(&heading), "no section {heading}");
                for flag in below.get_arguments().filter_map(|argument| argument.get_long()) {
                    assert!(flag == "help" || section.contains(&format!("--{flag}")), "{} --{flag}", below.get_name());
                }
            }
        }
        for code in [Exit::Success, Exit::Failed, Exit::Usage, Exit::Interrupted] {
            assert!(page.contains(&format!("\n| {} | ", code as u8)), "{code:?}");
        }
        assert!(page.contains(&format!("exits with {} ", samspill_runtime::HOPELESS)));
    }

    /// What `--help` says is read in review: this fails when it changes.
    #[test]
    fn the_help_of_every_verb() {
        let mut command = Args::command().term_width(100);
        command.build();
        let mut text = command.render_long_help().to_string();
        for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
            text.push_str(&format!("\n----- {} --help\n{}", verb.get_name().to_owned(), verb.render_long_help()));
            let name = verb.get_name().to_owned();
            for below in verb.get_subcommands_mut() {
                let below_name = below.get_name().to_owned();
                text.push_str(&format!("\n----- {name} {below_name} --help\n{}", below.render_long_help()));
            }
        }
        insta::assert_snapshot!(text);
    }
}
