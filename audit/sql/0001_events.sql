-- The read model (DESIGN section 5). Runs as audit_owner, who owns everything here and logs in nowhere.
-- event_id is UUIDv7: primary key, dedupe key, cursor and partition key at once.

CREATE FUNCTION audit_id_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || '000000000000')::uuid
$$;
COMMENT ON FUNCTION audit_id_floor IS 'The least event id of a millisecond: the bound of partitions and time filters.';

CREATE TABLE audit_events (
  event_id       uuid        NOT NULL,
  phase          text        NOT NULL CHECK (phase IN ('single', 'decided', 'completed')),
  tenant_id      text        NOT NULL CHECK (tenant_id <> ''),
  event_type     text        NOT NULL,
  kind           text        NOT NULL,
  occurred_at    timestamptz NOT NULL,
  ingested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  producer_id    text        NOT NULL,
  producer_epoch bigint      NOT NULL,
  producer_seq   bigint      NOT NULL,
  actor_type     text,
  actor_id       text,
  action         text,
  resource_type  text,
  resource_id    text,
  service        text,
  decision       text,
  outcome        text,
  status         smallint,
  severity       smallint    NOT NULL,     -- 0 debug to 6 critical; int comparisons are leakproof, enum ones are not
  trace_id       text,
  payload_hash   bytea       NOT NULL,     -- SHA-256 of the canonical form; can be made again from body
  body           jsonb       NOT NULL,     -- the whole event
  PRIMARY KEY (event_id, phase)
) PARTITION BY RANGE (event_id);
COMMENT ON TABLE audit_events IS 'Append-only: one row a record. A decision and its completion are rows of their own.';

CREATE INDEX audit_events_tenant   ON audit_events (tenant_id, event_id DESC);
CREATE INDEX audit_events_actor    ON audit_events (tenant_id, actor_id, event_id DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_events_resource ON audit_events (tenant_id, resource_type, resource_id, event_id DESC)
  WHERE resource_id IS NOT NULL;
CREATE INDEX audit_events_trace    ON audit_events (tenant_id, trace_id, event_id DESC) WHERE trace_id IS NOT NULL;
CREATE INDEX audit_events_grave    ON audit_events (tenant_id, event_id DESC) WHERE decision = 'deny' OR severity >= 3;

-- Row-level security is the floor: whatever a query says, no row of another tenant comes out. (SELECT ...) makes the
-- setting an InitPlan, read once; without the setting, or after it has ended (''), nothing matches.
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY writer_inserts ON audit_events FOR INSERT TO audit_writer WITH CHECK (true);
CREATE POLICY reader_reads_its_tenant ON audit_events FOR SELECT TO audit_reader
  USING (tenant_id = (SELECT current_setting('app.tenant_id', true)));
CREATE POLICY platform_reads_events_without_tenant ON audit_events FOR SELECT TO audit_reader
  USING (tenant_id = (SELECT CASE WHEN current_setting('app.tenant_id', true) = 'platform' THEN '-' END));
CREATE POLICY owner_keeps_house ON audit_events TO audit_owner USING (true) WITH CHECK (true);

-- Granted on the parent only: whoever may read a partition directly is past the parent's policies.
GRANT INSERT ON audit_events TO audit_writer;
GRANT SELECT ON audit_events TO audit_reader;

-- Weekly partitions from Monday, UTC. No default partition: it forbids DETACH ... CONCURRENTLY.
CREATE FUNCTION audit_make_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  week timestamptz := date_trunc('week', since);
  made integer := 0;
  part text;
BEGIN
  WHILE week <= until LOOP
    part := 'audit_events_' || to_char(week, 'YYYYMMDD');
    IF to_regclass('public.' || part) IS NULL THEN
      EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_events FOR VALUES FROM (%L) TO (%L)',
                     part, public.audit_id_floor(week), public.audit_id_floor(week + interval '7 days'));
      made := made + 1;
    END IF;
    week := week + interval '7 days';
  END LOOP;
  RETURN made;
END $$;
REVOKE ALL ON FUNCTION audit_make_partitions FROM PUBLIC;

CREATE FUNCTION audit_premake() RETURNS integer   -- gives up on a busy table: there are days to try again
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
  SELECT public.audit_make_partitions(now(), now() + interval '7 days')
$$;
COMMENT ON FUNCTION audit_premake IS 'The partitions of the next 7 days; the writer calls it, and may make no others.';
REVOKE ALL ON FUNCTION audit_premake FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_premake TO audit_writer;

CREATE FUNCTION audit_bounds(OUT lowest uuid, OUT beyond uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT min(b.bound[1])::uuid, max(b.bound[2])::uuid FROM (   -- as text: min(uuid) came with PostgreSQL 18
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bound
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.audit_events'::regclass AND NOT i.inhdetachpending) b
$$;
COMMENT ON FUNCTION audit_bounds IS 'What the partitions hold: ids from `lowest` up to, not including, `beyond`.';
REVOKE ALL ON FUNCTION audit_bounds FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_bounds TO audit_writer;

-- The writer may not read events. To tell a duplicate from a conflict it needs the hashes of keys it names.
CREATE FUNCTION audit_hashes(ids uuid[], phases text[])
RETURNS TABLE (event_id uuid, phase text, payload_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.event_id, e.phase, e.payload_hash
  FROM unnest(ids, phases) AS k(event_id, phase)
  JOIN public.audit_events e ON e.event_id = k.event_id AND e.phase = k.phase
$$;
REVOKE ALL ON FUNCTION audit_hashes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_hashes TO audit_writer;

CREATE TABLE audit_conflicts (
  event_id     uuid        NOT NULL,
  phase        text        NOT NULL,
  payload_hash bytea       NOT NULL,
  payload      bytea       NOT NULL,
  received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (event_id, phase, payload_hash)
);
COMMENT ON TABLE audit_conflicts IS 'Records whose key was there with another content: a bug or a forgery, kept apart.';
GRANT INSERT ON audit_conflicts TO audit_writer;

CREATE TABLE audit_dead_letters (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason       text        NOT NULL,
  error        text        NOT NULL,
  payload      bytea       NOT NULL,
  payload_hash bytea       NOT NULL UNIQUE,
  received_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit_dead_letters IS 'Records that cannot become rows, in the direct form; behind Kafka they go to a topic.';
GRANT INSERT ON audit_dead_letters TO audit_writer;

CREATE TABLE audit_consumer_offsets (
  topic       text        NOT NULL,
  partition   integer     NOT NULL,
  group_id    text        NOT NULL,
  next_offset bigint      NOT NULL,
  epoch       bigint      NOT NULL DEFAULT 0,   -- rises with each assignment; a consumer with an older one is fenced
  updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, partition, group_id)
);
GRANT SELECT, INSERT, UPDATE ON audit_consumer_offsets TO audit_writer;

CREATE TABLE audit_producers (
  producer_id    text        NOT NULL,
  producer_epoch bigint      NOT NULL,
  lane           integer     NOT NULL,            -- the topic's partition; -1 in the direct form
  lanes          integer     NOT NULL DEFAULT 1,
  watermark      timestamptz NOT NULL,            -- everything of this producer before it is in the store
  ended          boolean     NOT NULL DEFAULT false,
  reported_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (producer_id, producer_epoch, lane)
);
GRANT SELECT, INSERT, UPDATE ON audit_producers TO audit_writer;

CREATE FUNCTION audit_complete_through() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH current AS (   -- the newest epoch in each lane; a change of transport leaves the other's lanes behind
    SELECT p.* FROM public.audit_producers p
    WHERE NOT EXISTS (
      SELECT FROM public.audit_producers n
      WHERE n.producer_id = p.producer_id AND n.producer_epoch > p.producer_epoch
        AND (n.lane = p.lane OR (n.lane < 0) <> (p.lane < 0)))
  ), each AS (
    SELECT CASE WHEN count(*) < max(lanes) THEN to_timestamp(0) ELSE min(watermark) END AS watermark
    FROM current WHERE NOT ended GROUP BY producer_id, producer_epoch
  )
  SELECT coalesce((SELECT min(watermark) FROM each), (SELECT max(watermark) FROM public.audit_producers))
$$;
COMMENT ON FUNCTION audit_complete_through IS 'Nothing earlier is still under way: the least watermark of all producers that have not ended cleanly. NULL before the first report.';
REVOKE ALL ON FUNCTION audit_complete_through FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_complete_through TO audit_reader, audit_writer;

CREATE FUNCTION audit_producer_gone(of_producer text, of_epoch bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM public.audit_producers
                 WHERE producer_id = of_producer
                   AND (producer_epoch > of_epoch OR (producer_epoch = of_epoch AND ended)))
$$;
COMMENT ON FUNCTION audit_producer_gone IS 'Whether that opening of that producer has ended: a decision of it without completion will never get one.';
REVOKE ALL ON FUNCTION audit_producer_gone FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_producer_gone TO audit_reader;
