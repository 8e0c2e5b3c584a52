//! Invoices and payments, in the database.

use craterate_storage::{Database, OpenError, StorageError, Transaction, integer, new_id};
use invoicing_api::{Invoice, Payment, Status};

/// Where invoices are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

/// What an invoice is made from.
#[derive(Clone, Debug)]
pub(crate) struct NewInvoice {
    pub(crate) id: String,
    pub(crate) booking_id: String,
    pub(crate) cents: u64,
    pub(crate) currency: String,
}

/// How an invoice was made.
#[derive(Debug)]
pub(crate) enum Create {
    /// It exists, since now or since an earlier call.
    Made(Invoice),
    /// The id belongs to an invoice of something else.
    IdTaken,
}

/// How a payment went.
#[derive(Debug)]
pub(crate) enum Pay {
    /// It is booked, since now or since an earlier call with the same key.
    Paid(Payment),
    /// There is no such invoice.
    NoInvoice,
    /// More than what is left to pay.
    TooMuch { outstanding_cents: u64 },
    /// The key belongs to another payment.
    KeyTaken,
}

const INVOICE: &str = "SELECT id, booking_id, cents, currency, created_at,
    (SELECT coalesce(sum(cents), 0) FROM payments WHERE invoice_id = invoices.id) AS paid_cents
    FROM invoices WHERE id = ?";

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let database = Database::open(url, &[include_str!("../migrations/1.sql")]).await?;
        Ok(Self { database })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Makes an invoice, once.
    pub(crate) async fn create(&self, new: &NewInvoice) -> Result<Create, StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO invoices (id, booking_id, cents, currency) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.booking_id)
        .bind(integer(new.cents))
        .bind(&new.currency)
        .execute(&mut *transaction)
        .await?;
        let invoice = find(&mut transaction, &new.id).await?;
        transaction.commit().await?;
        let is_same = |found: &Invoice| {
            found.booking_id == new.booking_id && found.cents == new.cents && found.currency == new.currency
        };
        Ok(invoice.filter(is_same).map_or(Create::IdTaken, Create::Made))
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Option<Invoice>, StorageError> {
        let row: Option<Row> = sqlx::query_as(INVOICE).bind(id).fetch_optional(self.database.readers()).await?;
        Ok(row.map(invoice))
    }

    /// Books a payment, once per key.
    pub(crate) async fn pay(&self, id: &str, cents: u64, key: Option<&str>) -> Result<Pay, StorageError> {
        let mut transaction = self.database.begin().await?;
        let Some(invoice) = find(&mut transaction, id).await? else { return Ok(Pay::NoInvoice) };
        let outstanding_cents = invoice.cents.saturating_sub(invoice.paid_cents);
        let payment = |payment_id, outstanding_cents| {
            let currency = invoice.currency.clone();
            Pay::Paid(Payment { id: payment_id, invoice_id: id.to_owned(), cents, currency, outstanding_cents })
        };
        let earlier: Option<(String, String, u64)> =
            sqlx::query_as("SELECT id, invoice_id, cents FROM payments WHERE idempotency_key = ?")
                .bind(key)
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some((payment_id, paid_invoice, paid_cents)) = earlier {
            let is_same = paid_invoice == id && paid_cents == cents;
            return Ok(if is_same { payment(payment_id, outstanding_cents) } else { Pay::KeyTaken });
        }
        if cents > outstanding_cents {
            return Ok(Pay::TooMuch { outstanding_cents });
        }
        let payment_id = new_id();
        sqlx::query("INSERT INTO payments (id, invoice_id, idempotency_key, cents) VALUES (?, ?, ?, ?)")
            .bind(&payment_id)
            .bind(id)
            .bind(key)
            .bind(integer(cents))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(payment(payment_id, outstanding_cents - cents))
    }
}

/// The columns of [`INVOICE`].
type Row = (String, String, u64, String, String, u64);

async fn find(transaction: &mut Transaction, id: &str) -> Result<Option<Invoice>, StorageError> {
    let row: Option<Row> = sqlx::query_as(INVOICE).bind(id).fetch_optional(&mut **transaction).await?;
    Ok(row.map(invoice))
}

fn invoice((id, booking_id, cents, currency, created_at, paid_cents): Row) -> Invoice {
    let status = if paid_cents >= cents { Status::Paid } else { Status::Open };
    Invoice { id, booking_id, cents, currency, paid_cents, status, created_at }
}
