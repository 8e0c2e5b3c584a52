CREATE TABLE invoices (
  id TEXT PRIMARY KEY,
  booking_id TEXT NOT NULL,
  cents BIGINT NOT NULL CHECK (cents > 0),
  currency TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
);

CREATE TABLE payments (
  id TEXT PRIMARY KEY,
  invoice_id TEXT NOT NULL REFERENCES invoices (id),
  idempotency_key TEXT UNIQUE,
  cents BIGINT NOT NULL CHECK (cents > 0),
  created_at TEXT NOT NULL DEFAULT (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
);

CREATE INDEX payments_invoice ON payments (invoice_id);
