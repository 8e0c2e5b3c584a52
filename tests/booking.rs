//! The flow of a customer: quote, book, follow, pay; and what the command says meanwhile.

use http::{Request, StatusCode};
use serde_json::json;

use crate::load::{book, parcel};
use crate::mesh::Mesh;
use crate::{ledger, web};

#[tokio::test]
async fn a_parcel_is_quoted_booked_followed_and_paid() {
    let mesh = Mesh::craterate().await;

    // Both versions of the calculator have one price.
    let v1 = mesh.get("/api/shipping-cost-calculator/v1/quote?to=SE&weight_kg=2.5").await;
    let v2 =
        mesh.post("/api/shipping-cost-calculator/v2/quotes", &json!({"from": "NO", "to": "SE", "grams": 2500})).await;
    assert_eq!((v1.status, v2.status), (StatusCode::OK, StatusCode::OK), "{v1:?} {v2:?}");
    let cents = v2.json()["cents"].as_u64().unwrap();
    assert_eq!(v1.json()["price"], format!("{}.{:02}", cents / 100, cents % 100));
    assert_eq!((v1.json()["currency"].clone(), v2.json()["valid_seconds"].clone()), (json!("NOK"), json!(900)));

    // A booking, and the same one again with its key.
    let booked = book(mesh.edge, "key-1").await.unwrap();
    assert_eq!(booked.status, StatusCode::CREATED, "{booked:?}");
    let booking = booked.json();
    assert_eq!((&booking["cents"], &booking["currency"]), (&json!(cents), &json!("NOK")));
    let id = booking["id"].as_str().unwrap();
    assert!(booked.header("location").ends_with(id), "{booked:?}");
    assert_eq!(book(mesh.edge, "key-1").await.unwrap().json()["id"], booking["id"]);
    let found = mesh.get(&format!("/api/parcel-booking/v1/bookings/{id}")).await.json();
    assert_eq!((&found["tracking_id"], &found["invoice_id"]), (&booking["tracking_id"], &booking["invoice_id"]));
    let list = mesh.get("/api/parcel-booking/v1/bookings").await.json();
    assert_eq!((list["items"].as_array().map(Vec::len), list.get("next")), (Some(1), Some(&json!(null))));

    // The parcel on its way.
    let tracking = format!("/api/parcel-tracking/v1/parcels/{}", booking["tracking_id"].as_str().unwrap());
    let event = json!({"type": "picked-up", "place": "Oslo"});
    let appended = mesh.post(&format!("{tracking}/events"), &event).await;
    assert!(appended.status.is_success(), "{appended:?}");
    assert!(mesh.get(&tracking).await.body.contains("picked-up"));

    // The invoice, paid.
    let invoice = format!("/api/invoicing/v1/invoices/{}", booking["invoice_id"].as_str().unwrap());
    assert_eq!(mesh.get(&invoice).await.json()["cents"], json!(cents));
    let paid = mesh.post(&format!("{invoice}/payments"), &json!({"cents": cents})).await;
    assert!(paid.status.is_success(), "{paid:?}");

    // One attempt was told to statistics; the repeat was none.
    let counts = mesh.get("/api/statistics/v1/counts").await.json();
    assert_eq!(counts["order-attempt"], json!(1));
    ledger::check(&mesh, &[id.to_owned()]).await;

    bad_input_names_the_field(&mesh).await;
    the_gate_is_at_the_edge(&mesh).await;
    the_command_tells_what_runs(&mesh).await;
}

async fn bad_input_names_the_field(mesh: &Mesh) {
    let mut wrong = parcel();
    wrong["grams"] = json!(0);
    let reply = mesh.post("/api/parcel-booking/v1/bookings", &wrong).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(reply.body.contains("grams"), "{reply:?}");
    let reply = mesh.get("/api/shipping-cost-calculator/v1/quote?to=XX&weight_kg=2").await;
    assert!(reply.status.is_client_error() && reply.body.contains("\"to\""), "{reply:?}");
}

async fn the_gate_is_at_the_edge(mesh: &Mesh) {
    let body = "{\"type\":\"order-attempt\"}";
    let events = "POST /api/statistics/v1/events HTTP/1.1\r\ncontent-type: application/json\r\n";
    let length = body.len();
    for malformed in [
        // Where does this body end?
        format!("{events}host: a\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        // Is this the end of a line?
        format!("{events}host: a\ncontent-length: {length}\r\n\r\n{body}"),
        // Who is meant?
        format!("{events}host: a\r\nhost: b\r\ncontent-length: {length}\r\n\r\n{body}"),
    ] {
        let answer = web::raw(mesh.edge, malformed.as_bytes()).await.unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 400 "), "{malformed:?}: {answer}");
        assert!(answer.contains("\r\nx-samspill-reason: malformed\r\n"), "{malformed:?}: {answer}");
    }
    // What could be read was refused too: statistics has heard of nothing.
    let counts = mesh.get("/api/statistics/v1/counts").await.json();
    assert_eq!(counts["order-attempt"], json!(1));
    let claimed = Request::get("/api/statistics/v1/counts").header("connection", "host");
    let reply = web::send(mesh.edge, claimed.body(String::new()).unwrap()).await.unwrap();
    assert_eq!((reply.status, reply.header("x-samspill-reason")), (StatusCode::BAD_REQUEST, "malformed"));
}

async fn the_command_tells_what_runs(mesh: &Mesh) {
    let instances = mesh.json(&["get", "instances"]);
    assert_eq!(instances.as_array().unwrap().len(), 12);
    for instance in instances.as_array().unwrap() {
        for key in ["service", "instance", "version", "pid", "address", "ready", "restarts"] {
            assert!(!instance[key].is_null(), "{key} in {instance}");
        }
    }
    for (what, expected) in [
        ("services", "shipping-cost-calculator"),
        ("instances", "parcel-booking.craterate-1"),
        ("routes", "/api/invoicing"),
        ("certificates", "spiffe://samspill.local/ns/craterate/sa/statistics"),
    ] {
        let said = mesh.said(&["get", what]);
        assert!(said.contains(expected), "{expected} in:\n{said}");
        assert!(mesh.json(&["get", what]).is_array(), "{what}");
    }
    let output = mesh.samspill(&["scale", "nothing", "--replicas", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing"), "{output:?}");
    assert!(!mesh.said(&["logs", "invoicing.craterate-0"]).is_empty());
}

#[tokio::test]
async fn ctrl_c_drains_and_leaves_nothing() {
    let mesh = Mesh::craterate().await;
    let processes = mesh.processes();
    assert!(processes.len() > 24, "{processes:?}");
    let (code, screen) = mesh.interrupt().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(!processes.iter().any(|pid| crate::mesh::is_alive(*pid)), "{screen}");
}
