//! The pages, as a browser without JavaScript sees them.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use craterate_common::instance::{INSTANCE, named};
use http_body_util::BodyExt;
use tower::ServiceExt;

use self::fakes::Fakes;
use super::*;

mod fakes;

struct World {
    app: Router,
    fakes: Fakes,
    _server: samspill::test::Server,
}

async fn world() -> World {
    let (fakes, server) = Fakes::start().await;
    let outbound = server.url("");
    let service = samspill::test::service("shipping-application", [("SAMSPILL_OUTBOUND", outbound.as_str())]);
    let instance = Some("shipping-application-0");
    World { app: named(router(Shop::of(&service, instance)), instance).into_router(), fakes, _server: server }
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Page {
    /// The value of the first hidden field of a name.
    fn hidden(&self, name: &str) -> &str {
        let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        self.html.split_once(&start).unwrap().1.split_once('"').unwrap().0
    }

    /// The text of the element with an id.
    fn text(&self, id: &str) -> &str {
        let rest =
            self.html.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {}", self.html)).1;
        rest.split_once('>').unwrap().1.split_once('<').unwrap().0
    }

    /// Whether a message stands by a field.
    fn is_wrong(&self, field: &str) -> bool {
        self.html.contains(&format!("id=\"wrong-{field}\""))
    }
}

async fn ask(app: &Router, request: Request<Body>) -> Page {
    let answer = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let html = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(!html.contains("<script"), "{html}");
    Page { status: parts.status, headers: parts.headers, html }
}

async fn get(app: &Router, path: &str) -> Page {
    ask(app, Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

async fn post(app: &Router, path: &str, form: &[(&str, &str)]) -> Page {
    let body = serde_urlencoded::to_string(form).unwrap();
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(app, request.body(Body::from(body)).unwrap()).await
}

fn order(key: &str) -> [(&str, &str); 6] {
    [
        ("from", "NO"),
        ("to", "SE"),
        ("weight", "2,5"),
        ("sender", "Kari Nordmann"),
        ("recipient", "Sven Svensson"),
        ("key", key),
    ]
}

#[tokio::test]
async fn the_whole_way_from_price_to_invoice() {
    let World { app, .. } = &world().await;
    let home = get(app, "/").await;
    assert_eq!((home.status, home.text("served-by")), (StatusCode::OK, ""));
    assert!(home.html.contains("You’ve got crates, we’ve got rates!") && !home.is_wrong("weight"));

    let priced = get(app, "/?from=NO&to=SE&weight=2%2C5").await;
    assert_eq!((priced.status, priced.text("price")), (StatusCode::OK, "144.00 NOK"));
    assert_eq!((priced.hidden("from"), priced.hidden("to"), priced.hidden("weight")), ("NO", "SE", "2,5"));

    let booked = post(app, "/bookings", &order(priced.hidden("key"))).await;
    assert_eq!((booked.status, booked.text("booking-id")), (StatusCode::CREATED, "b-1"));
    let path = format!("/bookings/{}", booked.text("booking-id"));
    assert!(booked.html.contains(&format!("href=\"{path}\"")));

    let followed = get(app, &path).await;
    assert_eq!(followed.status, StatusCode::OK, "{}", followed.html);
    assert_eq!((followed.text("parcel-status"), followed.text("invoice-status")), ("registered", "open"));

    let event = [("tracking_id", followed.text("tracking-id")), ("type", "delivered"), ("place", "Göteborg")];
    let appended = post(app, &format!("{path}/events"), &event).await;
    assert_eq!(
        (appended.status, &appended.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/bookings/b-1#parcel"),)
    );
    let payment = ["invoice_id", "cents", "key"].map(|name| (name, followed.hidden(name)));
    let paid = post(app, &format!("{path}/payments"), &payment).await;
    assert_eq!(
        (paid.status, &paid.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/bookings/b-1#invoice"),)
    );

    let over = get(app, &path).await;
    assert_eq!((over.text("parcel-status"), over.text("invoice-status")), ("delivered", "paid"));
    assert!(over.html.contains("Göteborg") && !over.html.contains("Play the carrier"));
}

#[tokio::test]
async fn the_page_shows_who_served_and_the_trace() {
    let World { app, .. } = &world().await;
    let request = Request::builder()
        .uri("/?from=NO&to=SE&weight=1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let page = ask(app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.text("trace-id"), "0af7651916cd43dd8448eb211c80319c");
    assert!(page.html.contains("<li>shipping-application-0</li><li>calculator-1</li>"), "{}", page.html);
}

#[tokio::test]
async fn a_form_sent_twice_books_once() {
    let World { app, fakes, .. } = &world().await;
    let key = get(app, "/?from=NO&to=SE&weight=2.5").await.hidden("key").to_owned();
    for _ in 0..2 {
        assert_eq!(post(app, "/bookings", &order(&key)).await.text("booking-id"), "b-1");
    }
    assert_eq!(fakes.bookings(), 1);
    let other = get(app, "/?from=NO&to=SE&weight=2.5").await.hidden("key").to_owned();
    assert_eq!(post(app, "/bookings", &order(&other)).await.text("booking-id"), "b-2");
}

#[tokio::test]
async fn bad_input_is_the_form_again_with_the_message_by_the_field() {
    let World { app, fakes, .. } = &world().await;
    let page = get(app, "/?from=NO&to=XX&weight=heavy%22%3E").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.is_wrong("to") && page.is_wrong("weight") && !page.is_wrong("from"), "{}", page.html);
    assert!(page.html.contains("value=\"heavy&quot;&gt;\""), "what was written is kept: {}", page.html);

    let mut nobody = order("k");
    nobody[4] = ("recipient", " ");
    let page = post(app, "/bookings", &nobody).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.is_wrong("recipient") && !page.is_wrong("sender"), "{}", page.html);
    assert_eq!((page.hidden("key"), page.text("price")), ("k", "144.00 NOK"));
    assert!(page.html.contains("value=\"Kari Nordmann\""));
    assert_eq!(fakes.bookings(), 0);
}

#[tokio::test]
async fn a_service_that_is_away_is_said_and_the_form_keeps_its_key() {
    let World { app, fakes, .. } = &world().await;
    fakes.send_away("booking");
    let page = post(app, "/bookings", &order("k")).await;
    assert_eq!((page.status, page.hidden("key")), (StatusCode::SERVICE_UNAVAILABLE, "k"));
    assert!(page.html.contains("role=\"alert\""), "{}", page.html);
}

#[tokio::test]
async fn a_booking_is_shown_without_the_part_that_is_away() {
    let World { app, fakes, .. } = &world().await;
    post(app, "/bookings", &order("k")).await;
    fakes.send_away("invoicing");
    let page = get(app, "/bookings/b-1").await;
    assert_eq!((page.status, page.text("parcel-status")), (StatusCode::OK, "registered"));
    assert!(page.html.contains("The invoice cannot be shown now"));
}

#[tokio::test]
async fn what_goes_wrong_with_a_parcel_is_said_by_the_field() {
    let World { app, .. } = &world().await;
    post(app, "/bookings", &order("k")).await;
    let event = [("tracking_id", "t-1"), ("type", "in-transit"), ("place", "")];
    let page = post(app, "/bookings/b-1/events", &event).await;
    assert_eq!((page.status, page.is_wrong("place")), (StatusCode::UNPROCESSABLE_ENTITY, true));
    let foreign = [("tracking_id", "../invoices"), ("type", "in-transit"), ("place", "Oslo")];
    assert_eq!(post(app, "/bookings/b-1/events", &foreign).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_too() {
    let World { app, .. } = &world().await;
    for path in ["/bookings/b-1", "/bookings/..%2F..%2Fv1", "/nowhere"] {
        let page = get(app, path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.html.contains("Back to the counter"), "{}", page.html);
        assert!(page.headers.contains_key(CONTENT_SECURITY_POLICY));
    }
}

#[tokio::test]
async fn programs_are_told_in_their_own_words_what_is_not_there() {
    let World { app, .. } = &world().await;
    for path in ["/api", "/api/", "/api/invoices/1", "/api/parcels%20/x"] {
        let answer = get(app, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
        assert_eq!(answer.headers[INSTANCE], "shipping-application-0", "{path}");
    }
    let page = get(app, "/apiary").await;
    assert!(page.html.contains("Back to the counter"), "{}", page.html);
    assert_eq!(page.headers[INSTANCE], "shipping-application-0");
}
