//! Invoices and payments, in the database.

use craterate_storage::{
    Database, Migrations, OpenError, StorageError, Transaction, integer, is_text, new_id, unsigned,
};
use invoicing_api::{Invoice, Payment, Status};

/// How the tables are made.
const MIGRATIONS: Migrations = Migrations {
    service: "invoicing",
    sqlite: &[include_str!("../migrations/sqlite/1.sql")],
    postgres: &[include_str!("../migrations/postgres/1.sql")],
};

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
    (SELECT CAST(coalesce(sum(cents), 0) AS BIGINT) FROM payments WHERE invoice_id = invoices.id) AS paid_cents
    FROM invoices WHERE id = $1";

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: Database::open(url, MIGRATIONS).await? })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Makes an invoice, once. The insert waits for another one of this id, and what is read after it is what there is,
    /// whoever was faster.
    pub(crate) async fn create(&self, new: &NewInvoice) -> Result<Create, StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO invoices (id, booking_id, cents, currency) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.booking_id)
        .bind(integer(new.cents)?)
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
        if !is_text(id) {
            return Ok(None);
        }
        let row: Option<Row> = sqlx::query_as(INVOICE).bind(id).fetch_optional(self.database.readers()).await?;
        row.map(invoice).transpose()
    }

    /// Books a payment, once per key.
    ///
    /// The payments of one invoice are made one after another, or two of them could each be within what is left and both
    /// together beyond it. A key is also unique by itself: the insert waits for another invoice's payment that has it.
    pub(crate) async fn pay(&self, id: &str, cents: u64, key: Option<&str>) -> Result<Pay, StorageError> {
        if !is_text(id) {
            return Ok(Pay::NoInvoice);
        }
        let mut transaction = self.database.begin_exclusive(&format!("invoices/{id}")).await?;
        let Some(invoice) = find(&mut transaction, id).await? else { return Ok(Pay::NoInvoice) };
        let outstanding_cents = invoice.cents.saturating_sub(invoice.paid_cents);
        let payment = |payment_id, outstanding_cents| {
            let currency = invoice.currency.clone();
            Pay::Paid(Payment { id: payment_id, invoice_id: id.to_owned(), cents, currency, outstanding_cents })
        };
        let earlier: Option<(String, String, i64)> =
            sqlx::query_as("SELECT id, invoice_id, cents FROM payments WHERE idempotency_key = $1")
                .bind(key)
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some((payment_id, paid_invoice, paid_cents)) = earlier {
            let is_same = paid_invoice == id && unsigned::<u64>(paid_cents)? == cents;
            return Ok(if is_same { payment(payment_id, outstanding_cents) } else { Pay::KeyTaken });
        }
        if cents > outstanding_cents {
            return Ok(Pay::TooMuch { outstanding_cents });
        }
        let payment_id = new_id();
        let insert = sqlx::query(
            "INSERT INTO payments (id, invoice_id, idempotency_key, cents) VALUES ($1, $2, $3, $4)
             ON CONFLICT (idempotency_key) DO NOTHING",
        );
        let insert = insert.bind(&payment_id).bind(id).bind(key).bind(integer(cents)?);
        if insert.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(Pay::KeyTaken);
        }
        transaction.commit().await?;
        Ok(payment(payment_id, outstanding_cents - cents))
    }
}

/// The columns of [`INVOICE`].
type Row = (String, String, i64, String, String, i64);

async fn find(transaction: &mut Transaction, id: &str) -> Result<Option<Invoice>, StorageError> {
    let row: Option<Row> = sqlx::query_as(INVOICE).bind(id).fetch_optional(&mut **transaction).await?;
    row.map(invoice).transpose()
}

fn invoice((id, booking_id, cents, currency, created_at, paid_cents): Row) -> Result<Invoice, StorageError> {
    let status = if paid_cents >= cents { Status::Paid } else { Status::Open };
    let (cents, paid_cents) = (unsigned(cents)?, unsigned(paid_cents)?);
    Ok(Invoice { id, booking_id, cents, currency, paid_cents, status, created_at })
}

#[cfg(test)]
mod tests;
