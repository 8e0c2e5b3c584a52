//! Uses craterate as a stranger would: with clients that progenitor has made from the committed documents.
//!
//! `progenitor-judge http://EDGE` books parcels until their list has two pages, follows one and pays for it; prints what it saw as JSON.

use std::error::Error;

use futures::TryStreamExt as _;
use serde_json::{Value, json};

mod parcel_booking {
    progenitor::generate_api!(
        spec = "../../../examples/craterate/parcel-booking/api/openapi/v1.json",
        interface = Builder,
    );
}

mod invoicing {
    progenitor::generate_api!(spec = "../../../examples/craterate/invoicing/api/openapi/v1.json", interface = Builder);
}

mod parcel_tracking {
    progenitor::generate_api!(
        spec = "../../../examples/craterate/parcel-tracking/api/openapi/v1.json",
        interface = Builder,
    );
}

mod statistics {
    progenitor::generate_api!(spec = "../../../examples/craterate/statistics/api/openapi/v1.json", interface = Builder);
}

mod calculator_v1 {
    progenitor::generate_api!(
        spec = "../../../examples/craterate/shipping-cost-calculator/api/openapi/v1.json",
        interface = Builder,
    );
}

mod calculator_v2 {
    progenitor::generate_api!(
        spec = "../../../examples/craterate/shipping-cost-calculator/api/openapi/v2.json",
        interface = Builder,
    );
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// More than one page of bookings holds.
const BOOKINGS: usize = 51;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let edge = std::env::args().nth(1).ok_or("usage: progenitor-judge http://EDGE")?;
    let base = |service: &str| format!("{edge}/api/{service}");
    let bookings = parcel_booking::Client::new(&base("parcel-booking"));
    let parcels = parcel_tracking::Client::new(&base("parcel-tracking"));
    let invoices = invoicing::Client::new(&base("invoicing"));
    let counts = statistics::Client::new(&base("statistics"));

    let mut booked = Vec::new();
    for number in 0..BOOKINGS {
        booked.push(book(&bookings, &format!("judge-{number}")).await?);
    }
    let first = &booked[0];
    let (first_page, second_page) = pages(&bookings).await?;

    let event = parcel_tracking::types::EventRequest::builder()
        .type_(parcel_tracking::types::EventType::PickedUp)
        .place("Ålesund");
    parcels.append().id(&first.tracking_id).body(event).send().await?;
    let parcel = parcels.parcel().id(&first.tracking_id).send().await?.into_inner();

    let payment = invoicing::types::PaymentRequest::builder().cents(first.cents);
    let payment = invoices.pay().id(&first.invoice_id).idempotency_key("paid").body(payment).send().await?.into_inner();
    let invoice = invoices.invoice().id(&first.invoice_id).send().await?.into_inner();

    let attempt = statistics::types::EventRequest::builder().type_(statistics::types::EventType::OrderAttempt);
    let recorded = counts.record().body(attempt).send().await?.status().as_u16();

    let seen = json!({
        "booked": booked.len(),
        "repeat_is_same": book(&bookings, "judge-0").await?.id == first.id,
        "booking": bookings.booking().id(&first.id).send().await?.into_inner(),
        "pages": [first_page, second_page],
        "parcel": parcel,
        "payment": payment,
        "invoice": invoice,
        "recorded": recorded,
        "counts": counts.counts().send().await?.into_inner(),
        "quotes": quotes(&base("shipping-cost-calculator")).await?,
        "no_booking": refusal(bookings.booking().id("nobody").send().await.err()).await?,
    });
    println!("{seen:#}");
    Ok(())
}

async fn book(bookings: &parcel_booking::Client, key: &str) -> Result<parcel_booking::types::Booked> {
    use parcel_booking::types::{BookingRequest, BookingRequestFrom, BookingRequestTo};
    let parcel = BookingRequest::builder()
        .from(BookingRequestFrom::No)
        .to(BookingRequestTo::Se)
        .grams(2500_u32)
        .sender("Kari")
        .recipient("Astrid");
    Ok(bookings.book().idempotency_key(key).body(parcel).send().await?.into_inner())
}

/// How many bookings there are on the first page, and on the one that its cursor leads to.
async fn pages(bookings: &parcel_booking::Client) -> Result<(usize, usize)> {
    let first = bookings.bookings().send().await?.into_inner();
    let cursor = first.next.ok_or("the first page has no `next`")?;
    let second = bookings.bookings().cursor(cursor).send().await?.into_inner();
    Ok((first.items.len(), second.items.len()))
}

/// The price of one parcel by both versions.
async fn quotes(base: &str) -> Result<Value> {
    use calculator_v2::types::{QuoteRequest, QuoteRequestFrom, QuoteRequestTo};
    let old = calculator_v1::Client::new(base);
    let v1 = old.quote_v1().to(calculator_v1::types::QuoteV1To::Se).weight_kg("2.5").send().await?.into_inner();
    let parcel = QuoteRequest::builder().from(QuoteRequestFrom::No).to(QuoteRequestTo::Se).grams(2500_u32);
    let v2 = calculator_v2::Client::new(base).quote().body(parcel).send().await?.into_inner();
    Ok(json!([v1, v2]))
}

/// A refusal: its status, its media type and its body, which progenitor leaves to its user, because it is not `application/json`.
async fn refusal(error: Option<parcel_booking::Error<parcel_booking::ByteStream>>) -> Result<Value> {
    let Some(parcel_booking::Error::ErrorResponse(response)) = error else {
        return Err(format!("no refusal, or one that the document does not name: {error:?}").into());
    };
    let (status, media_type) = (response.status().as_u16(), response.headers()["content-type"].to_str()?.to_owned());
    let body: Vec<u8> = response
        .into_inner_stream()
        .try_fold(Vec::new(), async |mut body, part| {
            body.extend_from_slice(&part);
            Ok(body)
        })
        .await?;
    Ok(json!({ "status": status, "media_type": media_type, "problem": serde_json::from_slice::<Value>(&body)? }))
}
