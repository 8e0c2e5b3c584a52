//! The services around parcel-booking, on one port: what they were asked, and who of them is away.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use craterate_common::instance::{INSTANCE, INSTANCE_NAME};
use invoicing_api::{Invoice, InvoiceRequest, Status};
use parcel_tracking_api::v1::tracking_server::{Tracking, TrackingServer};
use parcel_tracking_api::v1::{AppendRequest, CreateRequest, Event, GetRequest, Parcel, WatchRequest};
use samspill::Problem;
use samspill::extract::Json;
use samspill::test::{Server, service};
use shipping_cost_calculator_api::{Quote, QuoteRequest};
use statistics_api::EventRequest;
use tonic::Request;

/// All of them, cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Fakes(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<&'static str>,
    away: Vec<&'static str>,
    parcels: Vec<String>,
    invoices: Vec<String>,
}

impl Fakes {
    pub(super) async fn start() -> (Self, Server) {
        let fakes = Self::default();
        let router = Router::new()
            .route("/v2/quotes", post(quote))
            .route("/v1/invoices", post(invoice))
            .route("/v1/events", post(event))
            .with_state(fakes.clone());
        let server = Server::start(service("fakes", []).grpc(TrackingServer::new(fakes.clone())), router).await;
        (fakes, server)
    }

    /// Those named answer 503 from now on; all others answer.
    pub(super) fn send_away(&self, away: &[&'static str]) {
        self.0.lock().unwrap().away = away.to_vec();
    }

    /// What was asked and answered, in order.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(super) fn parcels(&self) -> Vec<String> {
        self.0.lock().unwrap().parcels.clone()
    }

    pub(super) fn invoices(&self) -> Vec<String> {
        self.0.lock().unwrap().invoices.clone()
    }

    fn asked(&self, call: &'static str) -> Result<std::sync::MutexGuard<'_, Inner>, Problem> {
        let mut inner = self.0.lock().unwrap();
        if inner.away.contains(&call) {
            return Err(StatusCode::SERVICE_UNAVAILABLE.into());
        }
        inner.calls.push(call);
        Ok(inner)
    }
}

/// Like the real services: one entry per id, however often it is sent.
fn remember(ids: &mut Vec<String>, id: &str) {
    if !ids.iter().any(|known| known == id) {
        ids.push(id.to_owned());
    }
}

async fn quote(State(fakes): State<Fakes>, Json(_): Json<QuoteRequest>) -> Result<Response, Problem> {
    drop(fakes.asked("quote")?);
    let quote = Quote { cents: 14_400, currency: "NOK".to_owned(), valid_seconds: 900 };
    Ok(([(INSTANCE, "calculator-0")], Json(quote)).into_response())
}

async fn invoice(State(fakes): State<Fakes>, Json(request): Json<InvoiceRequest>) -> Result<Response, Problem> {
    let InvoiceRequest { id, booking_id, cents, currency } = request;
    let id = id.unwrap();
    remember(&mut fakes.asked("invoice")?.invoices, &id);
    let created_at = "2026-01-01T00:00:00.000Z".to_owned();
    let invoice = Invoice { id, booking_id, cents, currency, paid_cents: 0, status: Status::Open, created_at };
    Ok((StatusCode::CREATED, [(INSTANCE, "invoicing-0")], Json(invoice)).into_response())
}

async fn event(State(fakes): State<Fakes>, Json(_): Json<EventRequest>) -> Result<Response, Problem> {
    drop(fakes.asked("event")?);
    Ok((StatusCode::ACCEPTED, [(INSTANCE, "statistics-0")]).into_response())
}

type Reply<T> = Result<tonic::Response<T>, tonic::Status>;

#[tonic::async_trait]
impl Tracking for Fakes {
    type WatchStream = tokio_stream::Empty<Result<Event, tonic::Status>>;

    async fn create(&self, request: Request<CreateRequest>) -> Reply<Parcel> {
        let CreateRequest { id, from, to, grams } = request.into_inner();
        remember(&mut self.asked("parcel")?.parcels, &id);
        let mut reply = tonic::Response::new(Parcel { id, from, to, grams, events: Vec::new() });
        reply.metadata_mut().insert(INSTANCE_NAME, "parcel-tracking-0".parse().unwrap());
        Ok(reply)
    }

    async fn append(&self, _: Request<AppendRequest>) -> Reply<Event> {
        Err(tonic::Status::unimplemented("a booking appends nothing"))
    }

    async fn get(&self, _: Request<GetRequest>) -> Reply<Parcel> {
        Err(tonic::Status::unimplemented("a booking reads nothing"))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Reply<Self::WatchStream> {
        Err(tonic::Status::unimplemented("a booking watches nothing"))
    }
}
