CREATE TABLE parcels (
  id TEXT PRIMARY KEY,
  origin TEXT NOT NULL,
  destination TEXT NOT NULL,
  grams BIGINT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
);

CREATE TABLE events (
  -- Grows with every event of any parcel: by it, each replica sees that something was appended.
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  parcel_id TEXT NOT NULL REFERENCES parcels (id),
  sequence BIGINT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('picked-up', 'in-transit', 'delivered')),
  place TEXT NOT NULL,
  at TEXT NOT NULL DEFAULT (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
  UNIQUE (parcel_id, sequence)
);
