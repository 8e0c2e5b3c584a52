//! Bookings, in the database.

use std::time::Duration;

use craterate_storage::{Database, OpenError, StorageError, integer, new_id};
use parcel_booking_api::{Booked, Booking, BookingRequest, Status};
use samspill::{Cursor, Page};
use shipping_cost_calculator_api::Quote;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// How many bookings a page of the list has.
const PAGE_SIZE: usize = 50;

/// Where bookings are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let database = Database::open(url, &[include_str!("../migrations/1.sql")]).await?;
        Ok(Self { database })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Option<Booking>, StorageError> {
        let row = sqlx::query("SELECT * FROM bookings WHERE id = ?").bind(id);
        Ok(row.fetch_optional(self.database.readers()).await?.as_ref().map(booking).transpose()?)
    }

    /// The booking that was made with a key.
    pub(crate) async fn find(&self, key: &str) -> Result<Option<Booking>, StorageError> {
        let row = sqlx::query("SELECT * FROM bookings WHERE idempotency_key = ?").bind(key);
        Ok(row.fetch_optional(self.database.readers()).await?.as_ref().map(booking).transpose()?)
    }

    /// Makes the pending booking of a key, with all its ids, in one transaction. If another request with this key was
    /// faster, on whatever replica, its booking is the answer.
    pub(crate) async fn begin(
        &self,
        key: &str,
        request: &BookingRequest,
        quote: &Quote,
    ) -> Result<Booking, StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO bookings (id, tracking_id, invoice_id, idempotency_key, status,
               origin, destination, grams, sender, recipient, cents, currency)
             VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(new_id())
        .bind(new_id())
        .bind(new_id())
        .bind(key)
        .bind(&request.from)
        .bind(&request.to)
        .bind(request.grams)
        .bind(&request.sender)
        .bind(&request.recipient)
        .bind(integer(quote.cents))
        .bind(&quote.currency)
        .execute(&mut *transaction)
        .await?;
        let row = sqlx::query("SELECT * FROM bookings WHERE idempotency_key = ?").bind(key);
        let booking = booking(&row.fetch_one(&mut *transaction).await?)?;
        transaction.commit().await?;
        Ok(booking)
    }

    /// Marks a booking as confirmed. True for the one caller that did it.
    pub(crate) async fn confirm(&self, id: &str) -> Result<bool, StorageError> {
        let mut transaction = self.database.begin().await?;
        let update = sqlx::query("UPDATE bookings SET status = 'confirmed' WHERE id = ? AND status = 'pending'");
        let changed = update.bind(id).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// What has been pending for longer than a request takes, the oldest first.
    pub(crate) async fn pending(&self, age: Duration) -> Result<Vec<Booking>, StorageError> {
        let rows = sqlx::query(
            "SELECT * FROM bookings
             WHERE status = 'pending' AND created_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)
             ORDER BY number",
        )
        .bind(format!("-{} seconds", age.as_secs()))
        .fetch_all(self.database.readers())
        .await?;
        Ok(rows.iter().map(booking).collect::<Result<_, _>>()?)
    }

    /// A part of the list, the newest first; `before` is the number that a cursor holds.
    pub(crate) async fn page(&self, before: u64) -> Result<Page<Booking, u64>, StorageError> {
        let rows = sqlx::query("SELECT * FROM bookings WHERE number < ? ORDER BY number DESC LIMIT ?")
            .bind(integer(before))
            .bind(integer(PAGE_SIZE as u64 + 1))
            .fetch_all(self.database.readers())
            .await?;
        let shown = rows.get(..PAGE_SIZE).unwrap_or(&rows);
        let items = shown.iter().map(booking).collect::<Result<_, _>>()?;
        let last = shown.last().filter(|_| rows.len() > shown.len());
        let next = last.map(|row| row.try_get::<u64, _>("number")).transpose()?;
        Ok(Page { items, next: next.as_ref().map(Cursor::after) })
    }
}

fn booking(row: &SqliteRow) -> Result<Booking, sqlx::Error> {
    let status: &str = row.try_get("status")?;
    Ok(Booking {
        booked: Booked {
            id: row.try_get("id")?,
            tracking_id: row.try_get("tracking_id")?,
            invoice_id: row.try_get("invoice_id")?,
            cents: row.try_get("cents")?,
            currency: row.try_get("currency")?,
        },
        status: if status == "confirmed" { Status::Confirmed } else { Status::Pending },
        from: row.try_get("origin")?,
        to: row.try_get("destination")?,
        grams: row.try_get("grams")?,
        sender: row.try_get("sender")?,
        recipient: row.try_get("recipient")?,
        created_at: row.try_get("created_at")?,
    })
}
