CREATE TABLE bookings (
  -- The order of the list, and what its cursor counts.
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  tracking_id TEXT NOT NULL UNIQUE,
  invoice_id TEXT NOT NULL UNIQUE,
  idempotency_key TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('pending', 'confirmed')),
  origin TEXT NOT NULL,
  destination TEXT NOT NULL,
  grams BIGINT NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  cents BIGINT NOT NULL CHECK (cents > 0),
  currency TEXT NOT NULL,
  -- Compared as text, byte by byte, whatever the language of the database.
  created_at TEXT COLLATE "C" NOT NULL DEFAULT (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
);

CREATE INDEX bookings_pending ON bookings (number) WHERE status = 'pending';
