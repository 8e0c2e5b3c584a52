CREATE TABLE parcels (
  id TEXT PRIMARY KEY,
  origin TEXT NOT NULL,
  destination TEXT NOT NULL,
  grams INTEGER NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE events (
  -- Grows with every event of any parcel: by it, each replica sees that something was appended.
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  parcel_id TEXT NOT NULL REFERENCES parcels (id),
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('picked-up', 'in-transit', 'delivered')),
  place TEXT NOT NULL,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  UNIQUE (parcel_id, sequence)
) STRICT;
