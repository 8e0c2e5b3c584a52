//! How a booking looks. The snapshots are the specification: look at them when they change.

use serde_json::Value as Json;

use super::*;
use crate::conventions::attribute::*;
use crate::span::SpanKind;
use crate::traces::trace::Link;

/// Builds a trace span by span; each child names its parent by place.
struct Sketch(Vec<Span>);

impl Sketch {
    fn add(&mut self, parent: Option<usize>, who: (&str, &str), kind: SpanKind, name: &str, ms: (f64, f64)) -> usize {
        let nanos = |ms: f64| {
            let offset = std::time::Duration::from_secs_f64(ms / 1e3).as_nanos();
            1_700_000_000_000_000_000 + u64::try_from(offset).unwrap()
        };
        let (service, proxy) = who;
        let mut span = Span {
            span_id: format!("{:016x}", self.0.len() + 1),
            parent_span_id: parent.map(|place| format!("{:016x}", place + 1)),
            service: service.to_owned(),
            namespace: "craterate".to_owned(),
            instance: format!("{service}-1"),
            version: "1.0.0".to_owned(),
            kind,
            name: name.to_owned(),
            start_unix_nanos: nanos(ms.0),
            end_unix_nanos: nanos(ms.0 + ms.1),
            error: None,
            attributes: std::collections::BTreeMap::new(),
            links: Vec::new(),
        };
        if !proxy.is_empty() {
            span.attributes.insert(SAMSPILL_PROXY.to_owned(), Json::from(proxy));
        }
        self.0.push(span);
        self.0.len() - 1
    }

    /// One call from service to service: four spans, outermost first.
    fn call(&mut self, parent: usize, from: &str, to: &str, name: &str, ms: (f64, f64)) -> usize {
        let method = name.split(' ').next().unwrap();
        let method = if name.contains(' ') { method } else { name };
        let client = self.add(Some(parent), (from, ""), SpanKind::Client, method, ms);
        self.set(client, SERVER_ADDRESS, to);
        let at = |step: f64| (ms.0 + step, ms.1 - 2.0 * step);
        let outbound = self.add(Some(client), (from, "outbound"), SpanKind::Client, method, at(0.2));
        self.set(outbound, SERVER_ADDRESS, to);
        let inbound = self.add(Some(outbound), (to, "inbound"), SpanKind::Server, method, at(0.5));
        self.add(Some(inbound), (to, ""), SpanKind::Server, name, at(0.7))
    }

    fn query(&mut self, parent: usize, service: &str, name: &str, ms: (f64, f64)) {
        let query = self.add(Some(parent), (service, ""), SpanKind::Client, name, ms);
        self.set(query, DB_SYSTEM_NAME, "sqlite");
    }

    fn set(&mut self, span: usize, name: &str, value: impl Into<Json>) {
        self.0[span].attributes.insert(name.to_owned(), value.into());
    }

    fn fail(&mut self, span: usize, status: u16, error: &str) {
        self.set(span, HTTP_RESPONSE_STATUS_CODE, status);
        self.0[span].error = Some(error.to_owned());
    }

    fn trace(self) -> Trace {
        Trace { trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), spans: self.0, dropped_spans: 0 }
    }
}

/// The booking: 20 spans of the mesh and the services, and those of the databases.
fn booking() -> Sketch {
    let mut sketch = Sketch(Vec::new());
    let root = sketch.add(None, ("edge", "edge"), SpanKind::Server, "POST /api/parcel-booking/{*path}", (0.0, 41.37));
    let attempt = sketch.add(Some(root), ("edge", "edge"), SpanKind::Client, "POST", (0.31, 40.8));
    sketch.set(attempt, SERVER_ADDRESS, "parcel-booking");
    let inbound = sketch.add(Some(attempt), ("parcel-booking", "inbound"), SpanKind::Server, "POST", (0.9, 39.9));
    let booking = sketch.add(Some(inbound), ("parcel-booking", ""), SpanKind::Server, "POST /v1/bookings", (1.2, 39.3));
    let booker = "parcel-booking";
    sketch.call(booking, booker, "shipping-cost-calculator", "POST /v2/quotes", (1.6, 5.1));
    sketch.query(booking, booker, "INSERT bookings", (7.0, 6.2));
    let parcel = sketch.call(booking, booker, "parcel-tracking", "craterate.tracking.v1.Tracking/Create", (13.5, 9.7));
    sketch.query(parcel, "parcel-tracking", "INSERT parcels", (14.9, 6.3));
    let invoice = sketch.call(booking, booker, "invoicing", "POST /v1/invoices", (23.4, 8.8));
    sketch.query(invoice, "invoicing", "INSERT invoices", (24.8, 5.7));
    sketch.query(booking, booker, "UPDATE bookings", (32.4, 4.1));
    sketch.call(booking, booker, "statistics", "POST /v1/events", (36.7, 3.6));
    sketch
}

#[test]
fn a_booking_at_120_columns() {
    let trace = booking().trace();
    assert_eq!(trace.spans.len(), 24);
    insta::assert_snapshot!(waterfall(&trace, 120, false));
}

#[test]
fn a_booking_at_80_columns() {
    insta::assert_snapshot!(waterfall(&booking().trace(), 80, false));
}

#[test]
fn a_failure_says_where_and_why() {
    let mut sketch = Sketch(Vec::new());
    let root = sketch.add(None, ("edge", "edge"), SpanKind::Server, "POST /api/parcel-booking/{*path}", (0.0, 9.4));
    sketch.fail(root, 503, "503");
    let attempt = sketch.add(Some(root), ("edge", "edge"), SpanKind::Client, "POST", (0.2, 3.1));
    sketch.set(attempt, SERVER_ADDRESS, "parcel-booking");
    sketch.0[attempt].error = Some("connect-failed: connection refused".to_owned());
    let again = sketch.add(Some(root), ("edge", "edge"), SpanKind::Client, "POST", (3.5, 5.8));
    sketch.set(again, SERVER_ADDRESS, "parcel-booking");
    sketch.fail(again, 503, "app-unreachable");
    sketch.0[root].links.push(Link { trace_id: "ab".repeat(16), span_id: "cd".repeat(8) });
    // Its parent was killed, and nobody knows more than that.
    let orphan = sketch.add(Some(77), ("invoicing", ""), SpanKind::Internal, "retry\u{1b}[2J pending", (4.0, 0.02));
    assert_eq!(orphan, 3);
    insta::assert_snapshot!(waterfall(&sketch.trace(), 100, false));
}

#[test]
fn colour_changes_no_letter() {
    let trace = booking().trace();
    let colored = waterfall(&trace, 100, true);
    assert!(colored.contains("\x1b[34m━"), "{colored:?}");
    let mut plain = String::new();
    for (number, part) in colored.split('\x1b').enumerate() {
        plain.push_str(if number == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&plain), trimmed(&waterfall(&trace, 100, false)));
}

#[test]
fn no_line_is_wider_than_asked_and_no_span_is_lost() {
    for width in [60, 80, 100, 120, 200] {
        let text = waterfall(&booking().trace(), width, false);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} > {width}:\n{text}");
        assert_eq!(text.lines().count(), 4 + 24, "{text}");
    }
}

#[test]
fn parents_that_go_round_and_long_chains_end() {
    let mut ring = Sketch(Vec::new());
    ring.add(Some(1), ("a", ""), SpanKind::Internal, "one", (0.0, 1.0));
    ring.add(Some(0), ("a", ""), SpanKind::Internal, "two", (0.0, 1.0));
    let text = waterfall(&ring.trace(), 80, false);
    assert!(text.contains("one") && text.contains("two") && text.contains("1 part of this trace"), "{text}");

    let mut chain = Sketch(Vec::new());
    let mut last = chain.add(None, ("a", ""), SpanKind::Internal, "first", (0.0, 1.0));
    for _ in 0..2000 {
        last = chain.add(Some(last), ("a", ""), SpanKind::Internal, "next", (0.0, 1.0));
    }
    let text = waterfall(&chain.trace(), 120, false);
    assert!(text.lines().last().unwrap().contains("next"), "{text}");
    assert_eq!(text.lines().count(), 4 + 2001);

    let nothing = Trace { trace_id: "00".repeat(16), spans: Vec::new(), dropped_spans: 0 };
    assert!(waterfall(&nothing, 80, false).contains("0 spans"));
}
