//! Makes a pending booking complete: its parcel, its invoice, its confirmation.
//!
//! Every step may be repeated, by anybody and at any time: the ids are in the database before the first of them, and
//! the services called recognise them. So a request that comes again, another replica and the next start all finish
//! what one request left.

use std::convert::Infallible;
use std::time::Duration;

use craterate_common::instance::Instances;
use invoicing_api::{InvoiceRequest, InvoicingApi, InvoicingClient};
use parcel_booking_api::{Booking, BookingRequest, Status};
use parcel_tracking_api::v1::CreateRequest;
use parcel_tracking_api::v1::tracking_client::TrackingClient;
use samspill::contract::ApiFailure;
use samspill::{Call, CallError, Channel, Problem, Service};
use shipping_cost_calculator_api::{Quote, QuoteRequest, ShippingCostApi, ShippingCostClient};
use statistics_api::{EventRequest, EventType, StatisticsApi, StatisticsClient};
use tokio::time::{MissedTickBehavior, interval};

use crate::store::Store;

/// How often a replica looks for what was left pending.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a booking may be pending before it counts as left: longer than a request takes.
const PENDING_AGE: Duration = Duration::from_secs(5);

/// How long a booking waits for statistics, which it can do without.
const STATISTICS_TIMEOUT: Duration = Duration::from_secs(1);

/// The services that a booking needs.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) calculator: ShippingCostClient,
    pub(crate) tracking: Channel,
    pub(crate) invoicing: InvoicingClient,
    pub(crate) statistics: StatisticsClient,
}

impl Services {
    pub(crate) fn of(service: &Service) -> Self {
        Self {
            calculator: service.api::<ShippingCostApi>(),
            tracking: service.channel("parcel-tracking:50051"),
            invoicing: service.api::<InvoicingApi>(),
            statistics: service.api::<StatisticsApi>(),
        }
    }

    /// What a parcel costs now. What the calculator says about the parcel is the caller's to hear.
    pub(crate) async fn quote(
        &self,
        call: &Call,
        request: &BookingRequest,
        instances: &mut Instances,
    ) -> Result<Quote, Problem> {
        let BookingRequest { from, to, grams, .. } = request;
        let parcel = QuoteRequest { from: from.clone(), to: to.clone(), grams: *grams };
        match self.calculator.quote(call, parcel).answered().await {
            Ok(answered) => {
                instances.add_all_of(&answered.headers);
                Ok(answered.value)
            }
            Err(ApiFailure::Refused(problem)) if problem.status() == 422 => Err(problem),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Makes one booking complete; at once if it is.
pub(crate) async fn complete(
    call: &Call,
    store: &Store,
    services: &Services,
    booking: &Booking,
    instances: &mut Instances,
) -> Result<(), Problem> {
    if booking.status == Status::Confirmed {
        return Ok(());
    }
    register_parcel(call, services, booking, instances).await?;
    send_invoice(call, services, booking, instances).await?;
    let is_ours = call.database("UPDATE", "bookings", store.confirm(&booking.booked.id)).await?;
    if is_ours {
        tell_statistics(call, services, instances).await;
    }
    Ok(())
}

async fn register_parcel(
    call: &Call,
    services: &Services,
    booking: &Booking,
    instances: &mut Instances,
) -> Result<(), Problem> {
    let parcel = CreateRequest {
        id: booking.booked.tracking_id.clone(),
        from: booking.from.clone(),
        to: booking.to.clone(),
        grams: booking.grams,
    };
    let answer = TrackingClient::new(services.tracking.call(call)).create(parcel).await?;
    instances.add_all_of(answer.metadata().as_ref());
    Ok(())
}

async fn send_invoice(
    call: &Call,
    services: &Services,
    booking: &Booking,
    instances: &mut Instances,
) -> Result<(), Problem> {
    let booked = &booking.booked;
    let invoice = InvoiceRequest {
        id: Some(booked.invoice_id.clone()),
        booking_id: booked.id.clone(),
        cents: booked.cents,
        currency: booked.currency.clone(),
    };
    let answered = services.invoicing.create(call, invoice).answered().await?;
    instances.add_all_of(&answered.headers);
    Ok(())
}

/// Statistics are nice to have: a booking does not fail for them, nor wait long, and statistics knows how long.
async fn tell_statistics(call: &Call, services: &Services, instances: &mut Instances) {
    let event = EventRequest { kind: EventType::OrderAttempt };
    match services.statistics.record(&call.with_timeout(STATISTICS_TIMEOUT), event).answered().await {
        Ok(answered) => instances.add_all_of(&answered.headers),
        Err(ApiFailure::Call(CallError::Deadline { .. })) => tracing::warn!("statistics did not answer in time"),
        Err(error) => tracing::warn!(%error, "statistics did not count a booking"),
    }
}

/// Finishes what was left pending, at once and then at intervals.
pub(crate) async fn run(service: &Service, store: &Store, services: &Services) -> Infallible {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.pending(PENDING_AGE).await {
            Ok(pending) if !pending.is_empty() => {
                finish(&service.call("finish pending"), store, services, &pending).await;
            }
            Ok(_nothing) => {}
            Err(error) => tracing::warn!(?error, "pending bookings cannot be read"),
        }
    }
}

/// One that fails does not keep the others waiting; its turn comes again.
pub(crate) async fn finish(call: &Call, store: &Store, services: &Services, pending: &[Booking]) {
    for booking in pending {
        let id = &booking.booked.id;
        match complete(call, store, services, booking, &mut Instances::default()).await {
            Ok(()) => tracing::info!(id, "finished a pending booking"),
            Err(error) => tracing::warn!(id, %error, "a booking stays pending"),
        }
    }
}
