//! A customer: a real browser that fills the forms and reads the pages.

use samspill_testkit::wait_until;
use serde_json::json;

use super::webdriver::{Browser, Scripts};
use crate::ledger;
use crate::mesh::Mesh;

/// A page whose title tells whether scripts run.
const WITH_SCRIPT: &str = "data:text/html,<title>blocked</title><script>document.title='run'</script>";

#[tokio::test]
async fn a_customer_books_follows_and_pays_in_a_browser() {
    let mesh = Mesh::craterate().await;
    let browser = Browser::start(Scripts::Run).await;
    browser.open(WITH_SCRIPT).await;
    assert_eq!(browser.title().await, "run");

    browser.open(&format!("http://{}/", mesh.edge)).await;
    browser.picture("1-counter").await;
    quote(&browser).await;
    browser.picture("2-price").await;
    let id = book(&browser).await;
    browser.picture("3-booked").await;
    ledger::check(&mesh, std::slice::from_ref(&id)).await;

    // Follow the parcel, from the thank-you page and by the carrier's form.
    let (tracking_id, invoice_id) = (browser.text("#tracking-id").await, browser.text("#invoice-id").await);
    browser.click("#follow").await;
    browser.reads("#booking-id", &id).await;
    assert_eq!(browser.text("#tracking-id").await, tracking_id);
    assert_eq!(browser.text("#parcel-status").await, "registered");
    browser.picture("4-followed").await;
    browser.click("#parcel summary").await;
    browser.fill("#place", "Svinesund").await;
    browser.click("#parcel button[value=in-transit]").await;
    browser.reads("#parcel-status", "in transit").await;
    let events = browser.texts("#events li").await;
    assert!(events.len() == 1 && events[0].contains("Svinesund"), "{events:?}");

    // See the invoice and pay it.
    assert_eq!(browser.text("#invoice-id").await, invoice_id);
    assert_eq!(browser.text("#invoice-status").await, "open");
    browser.click("#invoice button").await;
    browser.reads("#invoice-status", "paid").await;
    browser.picture("5-paid").await;
    browser.fill("#place", "Stockholm").await;
    browser.click("#parcel button[value=delivered]").await;
    browser.reads("#parcel-status", "delivered").await;

    // Who served, and the whole way of this very page.
    let served_by = browser.texts("#served-by li").await;
    for service in ["shipping-application", "parcel-booking", "parcel-tracking", "invoicing"] {
        assert!(served_by.iter().any(|instance| instance.starts_with(&format!("{service}."))), "{served_by:?}");
    }
    let trace_id = browser.text("#trace-id").await;
    let is_traced = async || {
        let waterfall = mesh.samspill(&["trace", &trace_id]);
        let text = String::from_utf8_lossy(&waterfall.stdout).into_owned();
        ["shipping-application", "parcel-tracking", "invoicing"].iter().all(|service| text.contains(service))
    };
    wait_until("the page's trace is known", is_traced).await;

    a_mistake_is_told_by_its_field(&browser, &mesh).await;
    a_narrow_window_needs_no_scrolling_sideways(&browser, &mesh, &id).await;
    what_is_away_takes_nothing_else_with_it(&browser, &mesh, &id).await;
}

/// The counter's form refuses, keeps what was written, and says why.
async fn a_mistake_is_told_by_its_field(browser: &Browser, mesh: &Mesh) {
    browser.open(&format!("http://{}/", mesh.edge)).await;
    browser.click("#to option[value=SE]").await;
    browser.fill("#weight", "as much as a cat").await;
    browser.click("main form button").await;
    let message = browser.text("#wrong-weight").await;
    assert!(message.contains("weight"), "{message}");
    assert_eq!(browser.property("#weight", "value").await, json!("as much as a cat"));
    browser.picture("6-mistake").await;
    browser.open(&format!("http://{}/?from=NO&to=SE&weight=2,5", mesh.edge)).await;
    browser.click("form[action='/bookings'] button").await;
    for css in ["#wrong-sender", "#wrong-recipient"] {
        assert!(!browser.text(css).await.is_empty(), "{css}");
    }
    browser.picture("7-nobody").await;
    browser.open(&format!("http://{}/bookings/nothing", mesh.edge)).await;
    assert_eq!(browser.text("h1").await, "No such booking");
    browser.picture("8-nowhere").await;
}

async fn a_narrow_window_needs_no_scrolling_sideways(browser: &Browser, mesh: &Mesh, id: &str) {
    browser.width(360).await;
    for (name, path) in
        [("9-narrow-price", "/?from=NO&to=SE&weight=2.5".to_owned()), ("10-narrow-booking", format!("/bookings/{id}"))]
    {
        browser.open(&format!("http://{}{path}", mesh.edge)).await;
        browser.picture(name).await;
        let width = browser.property("html", "scrollWidth").await;
        assert_eq!(width, json!(360), "{path}");
    }
}

/// No copy of invoicing runs: the page says so, and shows the parcel all the same.
async fn what_is_away_takes_nothing_else_with_it(browser: &Browser, mesh: &Mesh, id: &str) {
    mesh.said(&["scale", "invoicing", "--replicas", "0"]);
    wait_until("invoicing is away", async || mesh.instances("invoicing").await.is_empty()).await;
    browser.open(&format!("http://{}/bookings/{id}", mesh.edge)).await;
    assert_eq!(browser.text("#parcel-status").await, "delivered");
    let message = browser.text("#invoice .message").await;
    assert!(message.contains("cannot be shown now"), "{message}");
    browser.picture("11-narrow-away").await;
}

#[tokio::test]
async fn a_customer_without_javascript_books_too() {
    let mesh = Mesh::craterate().await;
    let browser = Browser::start(Scripts::Blocked).await;
    browser.open(WITH_SCRIPT).await;
    assert_eq!(browser.title().await, "blocked");

    browser.open(&format!("http://{}/", mesh.edge)).await;
    quote(&browser).await;
    let id = book(&browser).await;
    ledger::check(&mesh, &[id]).await;
}

/// Asks what 2.5 kg to Sweden cost.
async fn quote(browser: &Browser) {
    assert_eq!(browser.property("#from", "value").await, json!("NO"));
    browser.click("#to option[value=SE]").await;
    browser.fill("#weight", "2.5").await;
    browser.click("main form button").await;
    browser.reads("#price", "144.00 NOK").await;
    assert_eq!(browser.property("#to", "value").await, json!("SE"));
    assert_eq!(browser.property("#weight", "value").await, json!("2.5"));
}

/// Books what was quoted, and returns the booking's id.
async fn book(browser: &Browser) -> String {
    browser.fill("#sender", "Kari Nordmann").await;
    browser.fill("#recipient", "Sven Svensson").await;
    browser.click("form[action='/bookings'] button").await;
    for css in ["#tracking-id", "#invoice-id"] {
        assert!(!browser.text(css).await.is_empty(), "{css}");
    }
    browser.text("#booking-id").await
}
