-- An outbox for audit events in a service's own database, version 1. PostgreSQL 15 or later.
-- The row is written in the transaction that makes the change, so there is never one without the other.

CREATE TABLE IF NOT EXISTS :schema.audit_outbox_life (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  producer text    NOT NULL CHECK (producer ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  epoch    bigint  NOT NULL DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint * 100000 + 1,
  version  integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE :schema.audit_outbox_life IS 'The one row of whose records these are, and since when: the producer and the epoch of each.';

INSERT INTO :schema.audit_outbox_life (producer) VALUES (:producer) ON CONFLICT (one) DO NOTHING;
DO $check$
BEGIN
  IF (SELECT producer FROM :schema.audit_outbox_life) <> :producer THEN
    RAISE EXCEPTION 'this outbox has another producer already; a second one needs a schema of its own';
  END IF;
END $check$;

-- Who a record is, is settled here and once: however often it is delivered, it is the same.
CREATE OR REPLACE FUNCTION :schema.audit_outbox_id() RETURNS uuid
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  at_us bigint;
BEGIN
  -- The transaction has its number before the clock is read. The relay counts on it: who has a later number has later ids.
  PERFORM pg_current_xact_id();
  at_us := extract(epoch FROM clock_timestamp()) * 1000000;
  -- UUIDv7 with parts of the millisecond in `rand_a` (RFC 9562 section 6.2, method 3); the rest is a random UUID's.
  RETURN lpad(to_hex(at_us / 1000), 12, '0') || '7' || lpad(to_hex((at_us % 1000) * 4096 / 1000), 3, '0')
      || right(replace(gen_random_uuid()::text, '-', ''), 16);
END $$;

CREATE TABLE IF NOT EXISTS :schema.audit_outbox (
  event_id uuid   PRIMARY KEY DEFAULT :schema.audit_outbox_id(),
  seq      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  body     bytea  NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 524288),
  refused  text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);  -- it is nearly always empty
COMMENT ON TABLE :schema.audit_outbox IS 'Audit events that are not delivered yet. `refused`: why one cannot be; it is kept until somebody looks.';
CREATE INDEX IF NOT EXISTS audit_outbox_refused ON :schema.audit_outbox (event_id) WHERE refused IS NOT NULL;

CREATE OR REPLACE FUNCTION :schema.audit_outbox_wake() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('audit_outbox', TG_TABLE_SCHEMA);
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS audit_outbox_wake ON :schema.audit_outbox;
