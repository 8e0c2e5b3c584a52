//! Bookings, in the database.

use std::time::Duration;

use craterate_storage::{Database, Migrations, OpenError, StorageError, System, integer, is_text, new_id, unsigned};
use parcel_booking_api::{Booked, Booking, BookingRequest, Status};
use samspill::{Cursor, Page};
use shipping_cost_calculator_api::Quote;
use sqlx::Row;
use sqlx::any::AnyRow;

/// How many bookings a page of the list has.
const PAGE_SIZE: usize = 50;

/// How the tables are made.
const MIGRATIONS: Migrations = Migrations {
    service: "parcel-booking",
    sqlite: &[include_str!("../migrations/sqlite/1.sql")],
    postgres: &[include_str!("../migrations/postgres/1.sql")],
};

/// Where bookings are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: Database::open(url, MIGRATIONS).await? })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Option<Booking>, StorageError> {
        if !is_text(id) {
            return Ok(None);
        }
        let row = sqlx::query("SELECT * FROM bookings WHERE id = $1").bind(id);
        row.fetch_optional(self.database.readers()).await?.as_ref().map(booking).transpose()
    }

    /// The booking that was made with a key.
    pub(crate) async fn find(&self, key: &str) -> Result<Option<Booking>, StorageError> {
        let row = sqlx::query("SELECT * FROM bookings WHERE idempotency_key = $1").bind(key);
        row.fetch_optional(self.database.readers()).await?.as_ref().map(booking).transpose()
    }

    /// Makes the pending booking of a key, with all its ids, in one transaction. If another request with this key was
    /// faster, on whatever replica, its booking is the answer: the insert waits for that one's end, and what is read after
    /// it is what there is.
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
             VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(new_id())
        .bind(new_id())
        .bind(new_id())
        .bind(key)
        .bind(&request.from)
        .bind(&request.to)
        .bind(i64::from(request.grams))
        .bind(&request.sender)
        .bind(&request.recipient)
        .bind(integer(quote.cents)?)
        .bind(&quote.currency)
        .execute(&mut *transaction)
        .await?;
        let row = sqlx::query("SELECT * FROM bookings WHERE idempotency_key = $1").bind(key);
        let booking = booking(&row.fetch_one(&mut *transaction).await?)?;
        transaction.commit().await?;
        Ok(booking)
    }

    /// Marks a booking as confirmed. True for the one caller that did it: the update waits for another one, and then looks
    /// again whether the booking is pending.
    pub(crate) async fn confirm(&self, id: &str) -> Result<bool, StorageError> {
        let mut transaction = self.database.begin().await?;
        let update = sqlx::query("UPDATE bookings SET status = 'confirmed' WHERE id = $1 AND status = 'pending'");
        let changed = update.bind(id).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// What has been pending for longer than a request takes, the oldest first.
    pub(crate) async fn pending(&self, age: Duration) -> Result<Vec<Booking>, StorageError> {
        // By the clock of the database, which has also written `created_at`; it has no common words.
        let query = match self.database.system() {
            System::Sqlite => {
                "SELECT * FROM bookings
                 WHERE status = 'pending'
                   AND created_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || $1 || ' seconds')
                 ORDER BY number"
            }
            System::Postgres => {
                r#"SELECT * FROM bookings
                   WHERE status = 'pending'
                     AND created_at <= to_char((clock_timestamp() - make_interval(secs => $1)) AT TIME ZONE 'UTC',
                                               'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                   ORDER BY number"#
            }
        };
        let rows = sqlx::query(query).bind(integer(age.as_secs())?).fetch_all(self.database.readers()).await?;
        rows.iter().map(booking).collect()
    }

    /// A part of the list, the newest first; `before` is the number that a cursor holds.
    pub(crate) async fn page(&self, before: u64) -> Result<Page<Booking, u64>, StorageError> {
        let rows = sqlx::query("SELECT * FROM bookings WHERE number < $1 ORDER BY number DESC LIMIT $2")
            .bind(i64::try_from(before).unwrap_or(i64::MAX)) // no booking has a larger number
            .bind(integer(PAGE_SIZE as u64 + 1)?)
            .fetch_all(self.database.readers())
            .await?;
        let shown = rows.get(..PAGE_SIZE).unwrap_or(&rows);
        let items = shown.iter().map(booking).collect::<Result<_, _>>()?;
        let last = shown.last().filter(|_| rows.len() > shown.len());
        let next = last.map(|row| unsigned(row.try_get("number")?)).transpose()?;
        Ok(Page { items, next: next.as_ref().map(Cursor::after) })
    }
}

fn booking(row: &AnyRow) -> Result<Booking, StorageError> {
    let status: &str = row.try_get("status")?;
    Ok(Booking {
        booked: Booked {
            id: row.try_get("id")?,
            tracking_id: row.try_get("tracking_id")?,
            invoice_id: row.try_get("invoice_id")?,
            cents: unsigned(row.try_get("cents")?)?,
            currency: row.try_get("currency")?,
        },
        status: if status == "confirmed" { Status::Confirmed } else { Status::Pending },
        from: row.try_get("origin")?,
        to: row.try_get("destination")?,
        grams: unsigned(row.try_get("grams")?)?,
        sender: row.try_get("sender")?,
        recipient: row.try_get("recipient")?,
        created_at: row.try_get("created_at")?,
    })
}

#[cfg(test)]
mod tests;
