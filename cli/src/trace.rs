//! `samspill trace`.

use samspill_observability::traces::{Summary, Trace as Recorded, waterfall};

use crate::args::Trace;
use crate::client::{Client, Server, block_on, segment};
use crate::exit::{Exit, Failure};
use crate::output::{print, say, stdout_has_color, width};
use crate::table::table;

pub(crate) fn trace(args: &Trace) -> Result<Exit, Failure> {
    let client = Client::new(&args.state.state_dir);
    match &args.id {
        Some(id) => {
            let path = format!("/v1/traces/{}", segment(trace_id(id)?));
            let trace: Recorded = block_on(client.get(Server::Runtime, &path))?;
            print(&waterfall(&trace, width(), stdout_has_color()))?;
        }
        None => {
            let traces: Vec<Summary> = block_on(client.get(Server::Runtime, "/v1/traces"))?;
            if traces.is_empty() {
                say("no request has been traced yet");
            } else {
                print(&list(&traces))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// The id in what a person has copied: itself, or a `traceresponse` or `traceparent` header's value.
fn trace_id(text: &str) -> Result<&str, Failure> {
    let text = text.rsplit_once(": ").map_or(text, |(_, value)| value).trim();
    let id = match text.split('-').collect::<Vec<_>>().as_slice() {
        [_version, id, _span, _flags] => id,
        _ => text,
    };
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_hexdigit());
    if is_id {
        return Ok(id);
    }
    Err(Failure::usage(format!("`{}` is no trace id", text.escape_debug()))
        .hint("copy the header `traceresponse` of an answer, or see `samspill trace` for the newest"))
}

fn list(traces: &[Summary]) -> String {
    let row = |trace: &Summary| {
        vec![
            trace.trace_id.clone(),
            // Milliseconds with one digit are exact enough to compare.
            format!("{}.{} ms", trace.duration_nanos / 1_000_000, trace.duration_nanos / 100_000 % 10),
            trace.spans.to_string(),
            trace.errors.to_string(),
            trace.name.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        ]
    };
    table(&["TRACE", "DURATION", "SPANS", "FAILED", "REQUEST"], &traces.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_holds_the_id_may_be_copied() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for text in [
            id.to_owned(),
            format!("00-{id}-00f067aa0ba902b7-01"),
            format!("traceresponse: 00-{id}-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(trace_id(&text).unwrap(), id, "{text}");
        }
        assert_eq!(trace_id("4bf9").unwrap(), "4bf9");
        for text in ["", "xyz", "4bf9/../..", "a-b"] {
            assert!(trace_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_of_traces() {
        let trace = Summary {
            trace_id: "4bf9".to_owned(),
            name: "POST /api\u{1b}".to_owned(),
            start_unix_nanos: 0,
            duration_nanos: 12_345_678,
            spans: 20,
            errors: 0,
        };
        let expected = "TRACE   DURATION   SPANS   FAILED   REQUEST\n4bf9    12.3 ms    20      0        POST /api?\n";
        assert_eq!(list(&[trace]), expected);
    }
}
