//! Parcels and their events, in the database.

use craterate_storage::{Database, OpenError, StorageError, integer};
use parcel_tracking_api::{Event, EventType, Parcel};
use sqlx::{Executor, Sqlite};

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
        let database = Database::open(url, &[include_str!("../migrations/1.sql")]).await?;
        Ok(Self { database })
    }

    /// For the end of the process.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Registers a parcel, once.
    pub(crate) async fn create(&self, new: &NewParcel) -> Result<Create, StorageError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO parcels (id, origin, destination, grams) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.from)
        .bind(&new.to)
        .bind(new.grams)
        .execute(&mut *transaction)
        .await?;
        let parcel = parcel(&mut *transaction, &new.id).await?;
        let events = events_after(&mut *transaction, &new.id, 0).await?;
        transaction.commit().await?;
        let is_same = |found: &Parcel| found.from == new.from && found.to == new.to && found.grams == new.grams;
        Ok(parcel.filter(is_same).map_or(Create::IdTaken, |parcel| Create::Made(with_events(parcel, events))))
    }

    /// Adds an event at the end of a parcel's story.
    pub(crate) async fn append(&self, id: &str, kind: EventType, place: &str) -> Result<Append, StorageError> {
        let mut transaction = self.database.begin().await?;
        if parcel(&mut *transaction, id).await?.is_none() {
            return Ok(Append::NoParcel);
        }
        let last: Option<(u64, String)> =
            sqlx::query_as("SELECT sequence, type FROM events WHERE parcel_id = ? ORDER BY sequence DESC LIMIT 1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        if last.as_ref().is_some_and(|(_, kind)| kind == EventType::Delivered.name()) {
            return Ok(Append::Delivered);
        }
        let sequence = last.map_or(1, |(sequence, _)| sequence + 1);
        let at: String = sqlx::query_scalar(
            "INSERT INTO events (parcel_id, sequence, type, place) VALUES (?, ?, ?, ?) RETURNING at",
        )
        .bind(id)
        .bind(integer(sequence))
        .bind(kind.name())
        .bind(place)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Append::Added(Event { sequence, kind, place: place.to_owned(), at }))
    }

    /// A parcel and all its events.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Parcel>, StorageError> {
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

async fn parcel(on: impl Executor<'_, Database = Sqlite>, id: &str) -> Result<Option<Parcel>, StorageError> {
    let row: Option<(String, String, u32)> =
        sqlx::query_as("SELECT origin, destination, grams FROM parcels WHERE id = ?")
            .bind(id)
            .fetch_optional(on)
            .await?;
    Ok(row.map(|(from, to, grams)| {
        let status = "registered".to_owned();
        Parcel { id: id.to_owned(), from, to, grams, status, events: Vec::new() }
    }))
}

async fn events_after(
    on: impl Executor<'_, Database = Sqlite>,
    id: &str,
    sequence: u64,
) -> Result<Vec<Event>, StorageError> {
    let rows: Vec<(u64, String, String, String)> = sqlx::query_as(
        "SELECT sequence, type, place, at FROM events WHERE parcel_id = ? AND sequence > ? ORDER BY sequence",
    )
    .bind(id)
    .bind(integer(sequence))
    .fetch_all(on)
    .await?;
    let event = |(sequence, kind, place, at): (u64, String, String, String)| {
        EventType::from_name(&kind).map(|kind| Event { sequence, kind, place, at })
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

fn with_events(parcel: Parcel, events: Vec<Event>) -> Parcel {
    let status = events.last().map_or(parcel.status, |event| event.kind.name().to_owned());
    Parcel { status, events, ..parcel }
}
