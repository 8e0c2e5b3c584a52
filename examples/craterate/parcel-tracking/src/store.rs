//! Parcels and their events, in the database.

use craterate_storage::{Database, Migrations, OpenError, StorageError, is_text, unsigned};
use parcel_tracking_api::{Event, EventType, Parcel};
use sqlx::{Any, Executor};

/// How the tables are made.
const MIGRATIONS: Migrations = Migrations {
    service: "parcel-tracking",
    sqlite: &[include_str!("../migrations/sqlite/1.sql")],
    postgres: &[include_str!("../migrations/postgres/1.sql")],
};

/// Where parcels are kept; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

/// What a parcel is made from.
#[derive(Clone, Debug)]
pub(crate) struct NewParcel {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) grams: u32,
}

/// How a parcel was registered.
#[derive(Debug)]
pub(crate) enum Create {
    /// It exists, since now or since an earlier call.
    Made(Parcel),
    /// The id belongs to a parcel of another route or weight.
    IdTaken,
}

/// How an event was added.
#[derive(Debug)]
pub(crate) enum Append {
    /// It is the last event now.
    Added(Event),
    /// There is no such parcel.
    NoParcel,
    /// The story is over.
    Delivered,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: Database::open(url, MIGRATIONS).await? })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Registers a parcel, once. The insert waits for another one of this id, and what is read after it is what there is,
    /// whoever was faster.
    pub(crate) async fn create(&self, new: &NewParcel) -> Result<Create, StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO parcels (id, origin, destination, grams) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.from)
        .bind(&new.to)
        .bind(i64::from(new.grams))
        .execute(&mut *transaction)
        .await?;
        let parcel = parcel(&mut *transaction, &new.id).await?;
        let events = events_after(&mut *transaction, &new.id, 0).await?;
        transaction.commit().await?;
        let is_same = |found: &Parcel| found.from == new.from && found.to == new.to && found.grams == new.grams;
        Ok(parcel.filter(is_same).map_or(Create::IdTaken, |parcel| Create::Made(with_events(parcel, events))))
    }

    /// Adds an event at the end of a parcel's story.
    ///
    /// Events are added one after another: those of one parcel because their numbers must be without gaps and nothing
    /// follows the delivery, and those of all parcels because [`last_event`](Self::last_event) must grow when one can be
    /// read. Side by side on PostgreSQL, the one with the smaller number may commit last, and no watcher would be told.
    pub(crate) async fn append(&self, id: &str, kind: EventType, place: &str) -> Result<Append, StorageError> {
        if !is_text(id) {
            return Ok(Append::NoParcel);
        }
        let mut transaction = self.database.begin_exclusive("events").await?;
        if parcel(&mut *transaction, id).await?.is_none() {
            return Ok(Append::NoParcel);
        }
        let last: Option<(i64, String)> =
            sqlx::query_as("SELECT sequence, type FROM events WHERE parcel_id = $1 ORDER BY sequence DESC LIMIT 1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        if last.as_ref().is_some_and(|(_, kind)| kind == EventType::Delivered.name()) {
            return Ok(Append::Delivered);
        }
        let sequence = last.map_or(1, |(sequence, _)| sequence + 1);
        let at: String = sqlx::query_scalar(
            "INSERT INTO events (parcel_id, sequence, type, place) VALUES ($1, $2, $3, $4) RETURNING at",
        )
        .bind(id)
        .bind(sequence)
        .bind(kind.name())
        .bind(place)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Append::Added(Event { sequence: unsigned(sequence)?, kind, place: place.to_owned(), at }))
    }

    /// A parcel and all its events.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Parcel>, StorageError> {
        if !is_text(id) {
            return Ok(None);
        }
        let Some(parcel) = parcel(self.database.readers(), id).await? else { return Ok(None) };
        let events = self.events_after(id, 0).await?;
        Ok(Some(with_events(parcel, events)))
    }

    /// The events of a parcel after a sequence number, in order.
    pub(crate) async fn events_after(&self, id: &str, sequence: u64) -> Result<Vec<Event>, StorageError> {
        events_after(self.database.readers(), id, sequence).await
    }

    /// A number that grows with every event of any parcel, appended by any replica.
    pub(crate) async fn last_event(&self) -> Result<i64, StorageError> {
        Ok(sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM events").fetch_one(self.database.readers()).await?)
    }
}

async fn parcel(on: impl Executor<'_, Database = Any>, id: &str) -> Result<Option<Parcel>, StorageError> {
    let row: Option<(String, String, i64)> =
        sqlx::query_as("SELECT origin, destination, grams FROM parcels WHERE id = $1")
            .bind(id)
            .fetch_optional(on)
            .await?;
    let Some((from, to, grams)) = row else { return Ok(None) };
    let status = "registered".to_owned();
    Ok(Some(Parcel { id: id.to_owned(), from, to, grams: unsigned(grams)?, status, events: Vec::new() }))
}

async fn events_after(
    on: impl Executor<'_, Database = Any>,
    id: &str,
    sequence: u64,
) -> Result<Vec<Event>, StorageError> {
    let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT sequence, type, place, at FROM events WHERE parcel_id = $1 AND sequence > $2 ORDER BY sequence",
    )
    .bind(id)
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX)) // no event has a larger number
    .fetch_all(on)
    .await?;
    let event = |(sequence, kind, place, at): (i64, String, String, String)| {
        let kind = EventType::from_name(&kind)?;
        Some(unsigned(sequence).map(|sequence| Event { sequence, kind, place, at }))
    };
    rows.into_iter().filter_map(event).collect()
}

fn with_events(parcel: Parcel, events: Vec<Event>) -> Parcel {
    let status = events.last().map_or(parcel.status, |event| event.kind.name().to_owned());
    Parcel { status, events, ..parcel }
}

#[cfg(test)]
mod tests;
