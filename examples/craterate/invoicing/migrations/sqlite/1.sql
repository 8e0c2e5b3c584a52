CREATE TABLE invoices (
  id TEXT PRIMARY KEY,
  booking_id TEXT NOT NULL,
  cents INTEGER NOT NULL CHECK (cents > 0),
  currency TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE payments (
  id TEXT PRIMARY KEY,
  invoice_id TEXT NOT NULL REFERENCES invoices (id),
  idempotency_key TEXT UNIQUE,
  cents INTEGER NOT NULL CHECK (cents > 0),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX payments_invoice ON payments (invoice_id);
