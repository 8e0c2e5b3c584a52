//! The services behind the page, and who of them answered.

use craterate_common::instance::Instances;
use invoicing_api::{Invoice, InvoicingApi, InvoicingClient, PaymentRequest};
use parcel_booking_api::{Booked, Booking, BookingRequest, ParcelBookingApi, ParcelBookingClient};
use parcel_tracking_api::{Event, EventRequest, Parcel, ParcelTrackingApi, ParcelTrackingClient};
use samspill::contract::{Answered, ApiFailure};
use samspill::{ApiError, Call, CallError, Problem, Service};
use shipping_cost_calculator_api::{Quote, QuoteRequest, ShippingCostApi, ShippingCostClient};

/// The services that the page asks; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) calculator: ShippingCostClient,
    pub(crate) booking: ParcelBookingClient,
    pub(crate) tracking: ParcelTrackingClient,
    pub(crate) invoicing: InvoicingClient,
    /// Our own name among the copies.
    pub(crate) instance: Option<String>,
}

impl Shop {
    pub(crate) fn of(service: &Service, instance: Option<&str>) -> Self {
        Self {
            calculator: service.api::<ShippingCostApi>(),
            booking: service.api::<ParcelBookingApi>(),
            tracking: service.api::<ParcelTrackingApi>(),
            invoicing: service.api::<InvoicingApi>(),
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
        let answered = self.shop.calculator.quote(&self.call, parcel.clone()).answered().await.map_err(told)?;
        Ok(self.noted(answered))
    }

    pub(crate) async fn book(&mut self, key: &str, request: &BookingRequest) -> Result<Booked, Problem> {
        let booking = self.shop.booking.book(&self.call, Some(key.to_owned()), request.clone());
        let answered = booking.answered().await.map_err(told)?;
        Ok(self.noted(answered))
    }

    pub(crate) async fn booking(&mut self, id: &str) -> Result<Booking, Problem> {
        let answered = self.shop.booking.booking(&self.call, id.to_owned()).answered().await.map_err(told)?;
        Ok(self.noted(answered))
    }

    /// Parcel and invoice of a booking, asked at the same time; each may be missing for a while.
    pub(crate) async fn details(&mut self, booking: &Booking) -> (Result<Parcel, Problem>, Result<Invoice, Problem>) {
        let Booked { tracking_id, invoice_id, .. } = &booking.booked;
        let (parcel, invoice) = tokio::join!(
            self.shop.tracking.parcel(&self.call, tracking_id.clone()).answered(),
            self.shop.invoicing.invoice(&self.call, invoice_id.clone()).answered(),
        );
        let parcel = parcel.map(|answered| self.noted(answered)).map_err(told);
        let invoice = invoice.map(|answered| self.noted(answered)).map_err(told);
        (parcel, invoice)
    }

    pub(crate) async fn append(&mut self, tracking_id: &str, event: &EventRequest) -> Result<Event, Problem> {
        let appended = self.shop.tracking.append(&self.call, tracking_id.to_owned(), event.clone());
        let answered = appended.answered().await.map_err(told)?;
        Ok(self.noted(answered))
    }

    pub(crate) async fn pay(&mut self, invoice_id: &str, key: &str, cents: u64) -> Result<(), Problem> {
        let payment = PaymentRequest { cents };
        let paid = self.shop.invoicing.pay(&self.call, invoice_id.to_owned(), Some(key.to_owned()), payment);
        let answered = paid.answered().await.map_err(told)?;
        self.noted(answered);
        Ok(())
    }

    /// What was answered; who answered is noted.
    fn noted<T>(&mut self, answered: Answered<T>) -> T {
        self.instances.add_all_of(&answered.headers);
        answered.value
    }
}

/// What a service says about what people wrote is for them to read; what else went wrong is told as the framework does.
fn told<E: ApiError>(failure: ApiFailure<E>) -> Problem {
    match failure.into() {
        CallError::Problem(problem) if problem.status().is_client_error() && problem.status() != 429 => problem,
        other => other.into(),
    }
}
