//! What the services have stored: one row in bookings, parcels and invoices for each booking that was answered with 201.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::mesh::Mesh;

/// One column of a service's database, each value with how often it is there.
async fn column(mesh: &Mesh, workload: &str, query: &'static str) -> BTreeMap<String, usize> {
    let folder = mesh.state_dir().join("data").join(format!("{workload}.craterate"));
    let file = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "db"))
        .unwrap_or_else(|| panic!("no database in {}", folder.display()));
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap();
    let rows: Vec<(String,)> = sqlx::query_as(query).fetch_all(&pool).await.unwrap();
    pool.close().await;
    let mut counts = BTreeMap::new();
    for (value,) in rows {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// Fails unless there is exactly one row of each kind for every id, and no booking is left unfinished.
pub(crate) async fn check(mesh: &Mesh, ids: &[String]) {
    let bookings = column(mesh, "parcel-booking", "SELECT id FROM bookings WHERE status = 'confirmed'").await;
    let tracking = column(mesh, "parcel-booking", "SELECT tracking_id FROM bookings").await;
    let invoiced = column(mesh, "parcel-booking", "SELECT invoice_id FROM bookings").await;
    let parcels = column(mesh, "parcel-tracking", "SELECT id FROM parcels").await;
    let invoices = column(mesh, "invoicing", "SELECT id FROM invoices").await;
    for id in ids {
        assert_eq!(bookings.get(id), Some(&1), "booking {id}");
    }
    assert_eq!(bookings.len(), tracking.len(), "every booking is confirmed");
    assert_eq!(parcels, tracking, "one parcel for each booking");
    assert_eq!(invoices, invoiced, "one invoice for each booking");
    assert_eq!(bookings.len(), ids.len(), "no booking that nobody was told of");
}
