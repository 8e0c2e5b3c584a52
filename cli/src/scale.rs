//! `samspill scale`.

use serde_json::{Value, json};

use crate::args::Scale;
use crate::client::{Client, block_on, segment};
use crate::exit::{Exit, Failure};
use crate::output::say;

pub(crate) fn scale(args: &Scale) -> Result<Exit, Failure> {
    let client = Client::new(&args.state.state_dir);
    let path = format!("/v1/workloads/{}/scale", segment(&args.name));
    let answer: Value = block_on(client.post(&path, &json!({"replicas": args.replicas})))?;
    let workload = answer.get("workload").and_then(Value::as_str).unwrap_or(&args.name);
    let instances = if args.replicas == 1 { "instance" } else { "instances" };
    say(&format!("{workload} shall have {} {instances}, until the next `samspill up`", args.replicas));
    Ok(Exit::Success)
}
