//! The services behind the page, and who of them answered.

use craterate_api::booking::{Booked, Booking, BookingRequest};
use craterate_api::calculator::{Quote, QuoteRequest};
use craterate_api::idempotency;
use craterate_api::instance::Instances;
use craterate_api::invoicing::{Invoice, PaymentRequest};
use craterate_api::tracking::{Event, EventRequest, Parcel};
use samspill::{Call, CallError, Client, Problem, Service};

/// The services that the page asks; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) calculator: Client,
    pub(crate) booking: Client,
    pub(crate) tracking: Client,
    pub(crate) invoicing: Client,
    /// Our own name among the copies.
    pub(crate) instance: Option<String>,
}

impl Shop {
    pub(crate) fn of(service: &Service, instance: Option<&str>) -> Self {
        Self {
            calculator: service.client("shipping-cost-calculator"),
            booking: service.client("parcel-booking"),
            tracking: service.client("parcel-tracking"),
            invoicing: service.client("invoicing"),
            instance: instance.map(str::to_owned),
        }
    }

    /// Begins the visit that one request is.
    pub(crate) fn visit(self, call: Call) -> Visit {
        Visit { call, shop: self, instances: Instances::default() }
    }
}

/// One request for a page: the calls made for it, and the instances that answered them.
#[derive(Debug)]
pub(crate) struct Visit {
    call: Call,
    shop: Shop,
    instances: Instances,
}

impl Visit {
    /// The trace of this request.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.call.trace_id()
    }

    /// Every instance that had a part in it, ourselves first.
    pub(crate) fn served_by(&self) -> impl Iterator<Item = &str> {
        self.shop.instance.as_deref().into_iter().chain(self.instances.names())
    }

    pub(crate) async fn quote(&mut self, parcel: &QuoteRequest) -> Result<Quote, Problem> {
        let answer = self.shop.calculator.post(&self.call, "/v2/quotes").json(parcel).send().await.map_err(told)?;
        self.instances.add_all_of(answer.headers());
        Ok(answer.json().await?)
    }

    pub(crate) async fn book(&mut self, key: &str, request: &BookingRequest) -> Result<Booked, Problem> {
        let booking = self.shop.booking.post(&self.call, "/v1/bookings");
        let answer = booking.header(idempotency::KEY, key).json(request).send().await.map_err(told)?;
        self.instances.add_all_of(answer.headers());
        Ok(answer.json().await?)
    }

    pub(crate) async fn booking(&mut self, id: &str) -> Result<Booking, Problem> {
        let answer = self.shop.booking.get(&self.call, format!("/v1/bookings/{id}")).send().await.map_err(told)?;
        self.instances.add_all_of(answer.headers());
        Ok(answer.json().await?)
    }

    /// Parcel and invoice of a booking, asked at the same time; each may be missing for a while.
    pub(crate) async fn details(&mut self, booking: &Booking) -> (Result<Parcel, Problem>, Result<Invoice, Problem>) {
        let Booked { tracking_id, invoice_id, .. } = &booking.booked;
        let (parcel, invoice) = tokio::join!(
            self.shop.tracking.get(&self.call, format!("/v1/parcels/{tracking_id}")).send(),
            self.shop.invoicing.get(&self.call, format!("/v1/invoices/{invoice_id}")).send(),
        );
        for answer in [&parcel, &invoice].into_iter().flatten() {
            self.instances.add_all_of(answer.headers());
        }
        let parcel = async { Ok(parcel.map_err(told)?.json().await?) };
        let invoice = async { Ok(invoice.map_err(told)?.json().await?) };
        tokio::join!(parcel, invoice)
    }

    pub(crate) async fn append(&mut self, tracking_id: &str, event: &EventRequest) -> Result<Event, Problem> {
        let events = self.shop.tracking.post(&self.call, format!("/v1/parcels/{tracking_id}/events"));
        let answer = events.json(event).send().await.map_err(told)?;
        self.instances.add_all_of(answer.headers());
        Ok(answer.json().await?)
    }

    pub(crate) async fn pay(&mut self, invoice_id: &str, key: &str, cents: u64) -> Result<(), Problem> {
        let payments = self.shop.invoicing.post(&self.call, format!("/v1/invoices/{invoice_id}/payments"));
        let answer =
            payments.header(idempotency::KEY, key).json(&PaymentRequest { cents }).send().await.map_err(told)?;
        self.instances.add_all_of(answer.headers());
        answer.bytes().await?;
        Ok(())
    }
}

/// What a service says about what people wrote is for them to read; what else went wrong is told as the framework does.
fn told(error: CallError) -> Problem {
    match error {
        CallError::Problem(problem) if problem.status().is_client_error() && problem.status() != 429 => problem,
        other => other.into(),
    }
}
