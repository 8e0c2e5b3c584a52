//! The API.

use craterate_storage::new_id;
use invoicing_api::{Invoice, InvoiceRequest, Invoicing, InvoicingApi, InvoicingError, Payment, PaymentRequest};
use samspill::contract::{ApiRouter, Created};
use samspill::extract::{IdempotencyKey, Json, Path, Valid};
use samspill::{Call, Problem};

use crate::store::{Create, NewInvoice, Pay, Store};

/// All routes.
pub(crate) fn router(store: Store) -> ApiRouter {
    InvoicingApi::router(App { store })
}

struct App {
    store: Store,
}

impl Invoicing for App {
    async fn create(
        &self,
        call: &Call,
        Valid(Json(request)): Valid<Json<InvoiceRequest>>,
    ) -> Result<Created<Invoice>, InvoicingError> {
        let InvoiceRequest { id, booking_id, cents, currency } = request;
        let new = NewInvoice { id: id.unwrap_or_else(new_id), booking_id, cents, currency };
        match call.database("INSERT", "invoices", self.store.create(&new)).await.map_err(Problem::from)? {
            Create::Made(invoice) => Ok(Created::at(format!("invoices/{}", invoice.id), invoice)),
            Create::IdTaken => Err(InvoicingError::IdTaken),
        }
    }

    async fn invoice(&self, call: &Call, Path(id): Path<String>) -> Result<Json<Invoice>, InvoicingError> {
        let found = call.database("SELECT", "invoices", self.store.get(&id)).await.map_err(Problem::from)?;
        found.map(Json).ok_or(InvoicingError::NoInvoice)
    }

    async fn pay(
        &self,
        call: &Call,
        Path(id): Path<String>,
        key: Option<IdempotencyKey>,
        Valid(Json(PaymentRequest { cents })): Valid<Json<PaymentRequest>>,
    ) -> Result<Created<Payment>, InvoicingError> {
        let key = key.as_ref().map(|IdempotencyKey(key)| key.as_str());
        match call.database("INSERT", "payments", self.store.pay(&id, cents, key)).await.map_err(Problem::from)? {
            Pay::Paid(payment) => Ok(Created::at(format!("payments/{}", payment.id), payment)),
            Pay::NoInvoice => Err(InvoicingError::NoInvoice),
            Pay::TooMuch { outstanding_cents } => Err(InvoicingError::TooMuch { outstanding_cents }),
            Pay::KeyTaken => Err(InvoicingError::KeyTaken),
        }
    }
}

#[cfg(test)]
mod tests;
