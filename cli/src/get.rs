//! `samspill get`.

use serde_json::Value;

use crate::args::{Get, Output, What};
use crate::client::{Client, Server, block_on};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::table::table;

pub(crate) fn get(args: &Get) -> Result<Exit, Failure> {
    let client = Client::new(&args.state.state_dir);
    let items = block_on(items(client, args.what))?;
    match args.output {
        Output::Json => print(&serde_json::to_string_pretty(&items).map_err(Failure::new)?)?,
        Output::Table if items.is_empty() => say(none(args.what)),
        Output::Table => print(&show(args.what, &items))?,
    }
    Ok(Exit::Success)
}

fn none(what: What) -> &'static str {
    match what {
        What::Services => "there are no services",
        What::Instances => "there are no instances",
        What::Routes => "there are no routes, so there is no edge",
        What::Certificates => "there are no certificates yet",
    }
}

async fn items(client: Client<'_>, what: What) -> Result<Vec<Value>, Failure> {
    let list = match what {
        What::Instances => client.get(Server::Runtime, "/v1/instances").await?,
        What::Services => client.get(Server::Controller, "/v1/services").await?,
        What::Routes => client.get(Server::Controller, "/v1/routes").await?,
        What::Certificates => client.get(Server::Controller, "/v1/certificates").await?,
    };
    match list {
        Value::Array(items) => Ok(items),
        Value::Object(mut list) => match list.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Failure::new("the controller's answer has no items")),
        },
        _ => Err(Failure::new("the answer is no list")),
    }
}

/// Heading and field of each column.
fn columns(what: What) -> &'static [(&'static str, &'static str)] {
    match what {
        What::Instances => &[
            ("SERVICE", "service"),
            ("INSTANCE", "instance"),
            ("VERSION", "version"),
            ("PID", "pid"),
            ("ADDRESS", "address"),
            ("READY", "ready"),
            ("RESTARTS", "restarts"),
        ],
        What::Services => &[
            ("SERVICE", "service"),
            ("NAMESPACE", "namespace"),
            ("PORT", "port"),
            ("PROTOCOL", "protocol"),
            ("READY ENDPOINTS", "endpoints"),
        ],
        What::Routes => &[
            ("ROUTE", "route"),
            ("MATCH", "match"),
            ("PATH", "path"),
            ("REWRITE", "rewrite"),
            ("BACKENDS", "backends"),
        ],
        What::Certificates => {
            &[("IDENTITY", "identity"), ("INSTANCES", "instances"), ("ISSUED", "issued"), ("EXPIRES", "not_after")]
        }
    }
}

fn show(what: What, items: &[Value]) -> String {
    let columns = columns(what);
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let row = |item: &Value| columns.iter().map(|(_, field)| cell(item.get(field).unwrap_or(&Value::Null))).collect();
    table(&headings, &items.iter().map(row).collect::<Vec<_>>())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        // One share of all is no share worth telling.
        Value::Array(values) if values.len() == 1 => values[0].get("service").map_or_else(|| cell(&values[0]), cell),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(share) => {
            let part = |name| share.get(name).map(cell).unwrap_or_default();
            format!("{} ({})", part("service"), part("weight"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_are_one_line_each() {
        let items = [
            json!({"service": "invoicing", "instance": "invoicing-0", "version": "1.0", "pid": 7,
                "address": "127.0.0.1:40001", "ready": true, "restarts": 0, "namespace": "shop"}),
            json!({"service": "invoicing", "instance": "invoicing-1", "version": "1.0", "pid": null,
                "address": null, "ready": false, "restarts": 3}),
        ];
        let expected = "\
SERVICE     INSTANCE      VERSION   PID   ADDRESS           READY   RESTARTS
invoicing   invoicing-0   1.0       7     127.0.0.1:40001   yes     0
invoicing   invoicing-1   1.0       -     -                 no      3
";
        assert_eq!(show(What::Instances, &items), expected);
    }

    #[test]
    fn a_route_shows_its_shares_when_there_are_several() {
        let share = |service: &str, weight: u32| json!({"service": service, "weight": weight});
        let route = |backends: Value| json!({"route": "shop/web", "match": "prefix", "path": "/", "rewrite": null, "backends": backends});
        let items =
            [route(json!([share("a.shop:80", 1)])), route(json!([share("a.shop:80", 9), share("b.shop:80", 1)]))];
        let expected = "\
ROUTE      MATCH    PATH   REWRITE   BACKENDS
shop/web   prefix   /      -         a.shop:80
shop/web   prefix   /      -         a.shop:80 (9), b.shop:80 (1)
";
        assert_eq!(show(What::Routes, &items), expected);
    }
}
