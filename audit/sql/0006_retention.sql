-- How long rows stay: cut-offs that come from the configuration, holds that stand here, and what is left of what went
-- (ADR 166, 167). The keeper calls; nothing younger than `complete_through`, and nothing held, can be taken away by it.

CREATE TABLE audit_legal_holds (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id     text        NOT NULL CHECK (tenant_id <> ''),
  from_id       uuid,                               -- NULL: from the first; bounds of time as ids, like everything
  to_id         uuid,
  actor_id      text,
  resource_type text,
  resource_id   text,
  reason        text        NOT NULL CHECK (reason <> ''),
  placed_by     text        NOT NULL CHECK (placed_by <> ''),
  placed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  released_by   text,
  released_at   timestamptz,
  CHECK ((released_by IS NULL) = (released_at IS NULL)),
  CHECK (resource_id IS NULL OR resource_type IS NOT NULL)
);
COMMENT ON TABLE audit_legal_holds IS 'What is kept whatever its age, until it is released. Rows stay: who held what, and why, is evidence.';
CREATE INDEX audit_legal_holds_standing ON audit_legal_holds (tenant_id) WHERE released_at IS NULL;
GRANT SELECT ON audit_legal_holds TO audit_keeper;

CREATE TABLE audit_purged_leaves (
  event_id     uuid        NOT NULL,
  phase        text        NOT NULL,
  payload_hash bytea       NOT NULL,
  purged_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (event_id, phase)
);
COMMENT ON TABLE audit_purged_leaves IS 'The hash of each row that was deleted from a partition that is still there: its seal still verifies.';

CREATE TABLE audit_purged_partitions (
  name      text        PRIMARY KEY,
  from_id   uuid        NOT NULL,
  to_id     uuid        NOT NULL,
  rows      bigint,                                 -- NULL while it is taken out and not yet counted and dropped
  purged_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit_purged_partitions IS 'Partitions that were dropped whole. They are not made again: what comes for them is out of range.';
GRANT SELECT ON audit_purged_partitions TO audit_keeper;

CREATE TABLE audit_purge_tally (
  partition text   NOT NULL,
  tenant_id text   NOT NULL,
  how       text   NOT NULL CHECK (how IN ('delete', 'drop')),
  rows      bigint NOT NULL,
  PRIMARY KEY (partition, tenant_id, how)
);
COMMENT ON TABLE audit_purge_tally IS 'What is gone and not yet told of: moved with each deletion, emptied with the event that tells of it.';
GRANT SELECT, DELETE ON audit_purge_tally TO audit_keeper;

CREATE TABLE audit_purge_swept (
  partition text        PRIMARY KEY,
  signature text        NOT NULL,
  swept_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit_purge_swept IS 'Partitions that were gone through under the same floors and holds: not again within a day.';

-- As in 0001, but for two things. A week that was dropped is not made again. And CREATE TABLE ... PARTITION OF takes the
-- parent for itself alone: one long reader holds it up, and everybody queues behind it. A table made apart and attached
-- asks only for SHARE UPDATE EXCLUSIVE, which lets readers and writers go on.
CREATE OR REPLACE FUNCTION audit_make_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  week timestamptz := date_trunc('week', since);
  made integer := 0;
  part text;
BEGIN
  WHILE week <= until LOOP
    part := 'audit_events_' || to_char(week, 'YYYYMMDD');
    IF to_regclass('public.' || part) IS NULL
       AND NOT EXISTS (SELECT FROM public.audit_purged_partitions p WHERE p.name = part) THEN
      EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
                     ' INCLUDING STORAGE)', part);
      EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                     part, public.audit_id_floor(week), public.audit_id_floor(week + interval '7 days'));
      made := made + 1;
    END IF;
    week := week + interval '7 days';
  END LOOP;
  RETURN made;
END $$;

-- Tenant to the least id that stays; '*' is everybody else. One place where days become ids: 24 hours each, for an
-- interval's days have 23 or 25 where the session's time zone changes its clocks.
CREATE FUNCTION audit_purge_floors(days integer, tenants jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  through constant timestamptz := public.audit_complete_through();
BEGIN
  IF days < 1 OR EXISTS (SELECT FROM jsonb_each_text(tenants) t WHERE t.value::integer < 1) THEN
    RAISE EXCEPTION 'a retention is at least one day' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF through IS NULL THEN   -- nobody knows what is still under way
    RETURN jsonb_build_object('*', '00000000-0000-0000-0000-000000000000');
  END IF;
  RETURN (
    SELECT jsonb_object_agg(t.key, public.audit_id_floor(greatest(to_timestamp(0),
             least(clock_timestamp() - make_interval(hours => 24 * t.value::integer), through))))
    FROM (SELECT key, value FROM jsonb_each_text(tenants) UNION ALL SELECT '*', days::text) t);
END $$;
REVOKE ALL ON FUNCTION audit_purge_floors FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_floors TO audit_keeper;

-- Whoever calls brings the floors; none may be younger than a day, or than what is complete.
CREATE FUNCTION audit_purge_guard(floors jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (floors->>'*') IS NULL OR EXISTS (
    SELECT FROM jsonb_each_text(floors) f
    WHERE f.value::uuid > coalesce(public.audit_id_floor(least(clock_timestamp() - interval '24 hours',
                                                               public.audit_complete_through())),
                                   '00000000-0000-0000-0000-000000000000')) THEN
    RAISE EXCEPTION 'these floors would take what is to be kept' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END $$;
REVOKE ALL ON FUNCTION audit_purge_guard FROM PUBLIC;

-- What of a partition `e` goes, given the floors as $1: the one condition that the plan counts by and the purge deletes by.
CREATE FUNCTION audit_purge_condition() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$ SELECT $condition$
  e.event_id < coalesce(($1->>e.tenant_id)::uuid, ($1->>'*')::uuid)
  AND NOT EXISTS (
    SELECT FROM public.audit_legal_holds h
    WHERE h.released_at IS NULL AND h.tenant_id = e.tenant_id
      AND (h.from_id IS NULL OR e.event_id >= h.from_id) AND (h.to_id IS NULL OR e.event_id < h.to_id)
      AND (h.actor_id IS NULL OR e.actor_id = h.actor_id)
      AND (h.resource_type IS NULL OR e.resource_type = h.resource_type)
      AND (h.resource_id IS NULL OR e.resource_id = h.resource_id))
$condition$ $$;
REVOKE ALL ON FUNCTION audit_purge_condition FROM PUBLIC;

CREATE FUNCTION audit_partition_bounds(OUT name text, OUT from_id uuid, OUT to_id uuid) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.relname::text, b.bound[1]::uuid, b.bound[2]::uuid
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
       LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS b(bound)
  WHERE i.inhparent = 'public.audit_events'::regclass
$$;
REVOKE ALL ON FUNCTION audit_partition_bounds FROM PUBLIC;

-- Where weeks are sealed at all, one that has ended must be sealed before any of it may go whole. The tables of seals
-- are made by the next migration, so they are looked up when this runs.
CREATE FUNCTION audit_purge_sealed(of_partition text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM public.audit_seals) OR public.audit_is_sealed(of_partition);
END $$;
REVOKE ALL ON FUNCTION audit_purge_sealed FROM PUBLIC;

-- Whether every row of a partition may go: it lies below everybody's floor but those of tenants that keep longer or are
-- held, and of these there is no row in it that stays. Those few are looked for by index.
CREATE FUNCTION audit_purge_whole(of_partition text, floors jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  beyond uuid;
  stays  boolean;
  special text;
BEGIN
  SELECT b.to_id INTO beyond FROM public.audit_partition_bounds() b WHERE b.name = of_partition;
  IF beyond IS NULL OR beyond > (floors->>'*')::uuid THEN
    RETURN false;
  END IF;
  FOR special IN SELECT f.key FROM jsonb_each_text(floors) f WHERE f.key <> '*' AND f.value::uuid < beyond
                 UNION SELECT h.tenant_id FROM public.audit_legal_holds h WHERE h.released_at IS NULL LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I e WHERE e.tenant_id = $2 AND NOT (%s))',
                   of_partition, public.audit_purge_condition())
    INTO stays USING floors, special;
    IF stays THEN
      RETURN false;
    END IF;
  END LOOP;
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION audit_purge_whole FROM PUBLIC;

-- What decides about a partition's rows: if it is the same as the last time, nothing new can be found in it.
CREATE FUNCTION audit_purge_signature(floors jsonb, from_id uuid, to_id uuid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT md5(concat(
    (SELECT string_agg(concat(f.key, '=', least(greatest(f.value::uuid, from_id), to_id)), ',' ORDER BY f.key)
     FROM jsonb_each_text(floors) f),
    (SELECT string_agg(h.id::text, ',' ORDER BY h.id) FROM public.audit_legal_holds h WHERE h.released_at IS NULL)))
$$;
REVOKE ALL ON FUNCTION audit_purge_signature FROM PUBLIC;

CREATE FUNCTION audit_purge_partitions(floors jsonb) RETURNS TABLE (partition text, how text, signature text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT b.name,
         CASE WHEN NOT public.audit_purge_whole(b.name, floors) THEN 'delete'
              WHEN public.audit_purge_sealed(b.name) THEN 'drop' ELSE 'unsealed' END,
         s.signature
  FROM public.audit_partition_bounds() b, public.audit_purge_signature(floors, b.from_id, b.to_id) s(signature)
  WHERE EXISTS (SELECT FROM jsonb_each_text(floors) f WHERE f.value::uuid > b.from_id)
    AND NOT EXISTS (SELECT FROM public.audit_purge_swept w
                    WHERE w.partition = b.name AND w.signature = s.signature
                      AND w.swept_at > clock_timestamp() - interval '1 day')
  ORDER BY b.from_id
$$;
COMMENT ON FUNCTION audit_purge_partitions IS 'The partitions that reach below some floor, oldest first, and how they are purged.';
REVOKE ALL ON FUNCTION audit_purge_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_partitions TO audit_keeper;

CREATE FUNCTION audit_purge_plan(floors jsonb) RETURNS TABLE (partition text, tenant_id text, how text, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  FOR partition, how IN SELECT p.partition, p.how FROM public.audit_purge_partitions(floors) p LOOP
    FOR tenant_id, rows IN EXECUTE format(
        'SELECT e.tenant_id, count(*) FROM public.%I e WHERE %s GROUP BY 1 ORDER BY 1',
        partition, public.audit_purge_condition()) USING floors LOOP
      RETURN NEXT;
    END LOOP;
    IF NOT FOUND AND how <> 'delete' THEN   -- nothing in it, and it goes all the same
      tenant_id := NULL;
      rows := 0;
      RETURN NEXT;
    END IF;
  END LOOP;
END $$;
COMMENT ON FUNCTION audit_purge_plan IS 'What a purge with these floors would take away, by partition and tenant.';
REVOKE ALL ON FUNCTION audit_purge_plan FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_plan TO audit_keeper;

CREATE FUNCTION audit_purge_mark(of_partition text, of_signature text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO public.audit_purge_swept AS w (partition, signature) VALUES (of_partition, of_signature)
  ON CONFLICT (partition) DO UPDATE SET signature = excluded.signature, swept_at = clock_timestamp()
$$;
REVOKE ALL ON FUNCTION audit_purge_mark FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_mark TO audit_keeper;

CREATE FUNCTION audit_purge_batch(
  of_partition text, floors jsonb, since uuid, at_most integer, OUT gone bigint, OUT last_id uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  highest constant uuid := (SELECT max(f.value COLLATE "C") FROM jsonb_each_text(floors) f)::uuid;
BEGIN
  PERFORM public.audit_purge_guard(floors);
  IF NOT EXISTS (SELECT FROM public.audit_partition_bounds() b WHERE b.name = of_partition) THEN
    RAISE EXCEPTION 'no partition %', of_partition USING ERRCODE = 'undefined_table';
  END IF;
  -- A hold that is being placed waits for this batch, and the next batch sees it.
  LOCK TABLE public.audit_legal_holds IN SHARE MODE;
  -- By row number within one child: on the parent that number would be matched in every partition. Walked by key from
  -- where the last batch ended, so that what stays is looked at once.
  EXECUTE format($delete$
    WITH old AS MATERIALIZED (
      SELECT e.ctid AS at FROM public.%1$I e
      WHERE e.event_id >= $2 AND e.event_id < $3 AND %2$s ORDER BY e.event_id LIMIT $4),
    gone AS (DELETE FROM public.%1$I d USING old WHERE d.ctid = old.at
             RETURNING d.event_id, d.phase, d.payload_hash, d.tenant_id),
    leaves AS (INSERT INTO public.audit_purged_leaves (event_id, phase, payload_hash)
               SELECT event_id, phase, payload_hash FROM gone
               ON CONFLICT (event_id, phase) DO UPDATE   -- it had gone before, and came again
               SET payload_hash = excluded.payload_hash, purged_at = excluded.purged_at),
    counted AS (INSERT INTO public.audit_purge_tally AS t (partition, tenant_id, how, rows)
                SELECT %1$L, tenant_id, 'delete', count(*) FROM gone GROUP BY tenant_id
                ON CONFLICT (partition, tenant_id, how) DO UPDATE SET rows = t.rows + excluded.rows)
    SELECT count(*), max(event_id::text COLLATE "C")::uuid FROM gone
  $delete$, of_partition, public.audit_purge_condition())
  INTO gone, last_id USING floors, since, highest, at_most;
END $$;
COMMENT ON FUNCTION audit_purge_batch IS 'Deletes at most so many rows of one partition, keeps their hashes and counts them.';
REVOKE ALL ON FUNCTION audit_purge_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_batch TO audit_keeper;

CREATE FUNCTION audit_purge_detach(of_partition text, floors jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
  PERFORM public.audit_purge_guard(floors);
  LOCK TABLE public.audit_legal_holds IN SHARE MODE;
  -- Everybody waits for this lock, and whoever waits for it makes others wait: two seconds at most. What stays is
  -- looked for again under it, by index: nothing can come in between.
  LOCK TABLE public.audit_events IN ACCESS EXCLUSIVE MODE;
  IF NOT public.audit_purge_whole(of_partition, floors) OR NOT public.audit_purge_sealed(of_partition) THEN
    RETURN false;
  END IF;
  INSERT INTO public.audit_purged_partitions (name, from_id, to_id)
  SELECT b.name, b.from_id, b.to_id FROM public.audit_partition_bounds() b WHERE b.name = of_partition;
  EXECUTE format('ALTER TABLE public.audit_events DETACH PARTITION public.%I', of_partition);
  RETURN true;
END $$;
COMMENT ON FUNCTION audit_purge_detach IS 'Takes a partition out whole, if all of it may go; `audit_purge_drop` follows.';
REVOKE ALL ON FUNCTION audit_purge_detach FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_detach TO audit_keeper;

CREATE FUNCTION audit_purge_drop() RETURNS TABLE (partition text, rows bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  part record;
  held boolean;
BEGIN
  -- What a hold names that was placed since the partition was taken out comes back: `rows` is NULL then.
  LOCK TABLE public.audit_legal_holds IN SHARE MODE;
  FOR part IN SELECT p.name, p.from_id, p.to_id FROM public.audit_purged_partitions p WHERE p.rows IS NULL
              ORDER BY p.from_id LIMIT 1 FOR UPDATE LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.audit_legal_holds s JOIN public.%I e ON e.tenant_id = s.tenant_id'
                   ' WHERE s.released_at IS NULL AND NOT (%s))', part.name, public.audit_purge_condition())
    INTO held USING '{"*": "ffffffff-ffff-ffff-ffff-ffffffffffff"}'::jsonb;   -- no age keeps it: only a hold does
    IF held THEN
      EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                     part.name, part.from_id, part.to_id);
      DELETE FROM public.audit_purged_partitions p WHERE p.name = part.name;
      partition := part.name;
      rows := NULL;
      RETURN NEXT;
      CONTINUE;
    END IF;
    EXECUTE format($count$
      INSERT INTO public.audit_purge_tally AS t (partition, tenant_id, how, rows)
      SELECT %1$L, e.tenant_id, 'drop', count(*) FROM public.%1$I e GROUP BY e.tenant_id
    $count$, part.name);
    partition := part.name;
    SELECT coalesce(sum(t.rows), 0)::bigint INTO rows
    FROM public.audit_purge_tally t WHERE t.partition = part.name AND t.how = 'drop';
    IF rows = 0 THEN   -- it is told of all the same
      INSERT INTO public.audit_purge_tally (partition, tenant_id, how, rows) VALUES (part.name, '-', 'drop', 0)
      ON CONFLICT DO NOTHING;
    END IF;
    EXECUTE format('DROP TABLE public.%I', part.name);
    -- Its seal's root is enough for a partition of which nothing is left.
    DELETE FROM public.audit_purge_swept w WHERE w.partition = part.name;
    DELETE FROM public.audit_purged_leaves l WHERE l.event_id >= part.from_id AND l.event_id < part.to_id;
    UPDATE public.audit_purged_partitions p SET rows = audit_purge_drop.rows, purged_at = clock_timestamp()
    WHERE p.name = part.name;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION audit_purge_drop IS 'Counts and drops one partition that was taken out, also one that a killed purge left so; puts it back if it is held by now.';
REVOKE ALL ON FUNCTION audit_purge_drop FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_drop TO audit_keeper;

-- What else would grow for ever.
CREATE FUNCTION audit_purge_aside(days integer) RETURNS TABLE (what text, rows bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  before timestamptz := clock_timestamp() - make_interval(hours => 24 * days);
BEGIN
  IF days < 1 THEN
    RAISE EXCEPTION 'a retention is at least one day' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  DELETE FROM public.audit_conflicts c WHERE c.received_at < before;
  GET DIAGNOSTICS rows = ROW_COUNT;  what := 'conflicts';  RETURN NEXT;
  DELETE FROM public.audit_dead_letters d WHERE d.received_at < before;
  GET DIAGNOSTICS rows = ROW_COUNT;  what := 'dead_letters';  RETURN NEXT;
  -- An opening that holds nobody back any more, and whose events are all gone with the time.
  DELETE FROM public.audit_producers p
  WHERE p.reported_at < before
    AND (p.ended OR p.retired_at IS NOT NULL OR EXISTS (
      SELECT FROM public.audit_producers n
      WHERE n.producer_id = p.producer_id AND n.producer_epoch > p.producer_epoch
        AND public.audit_life(n.producer_epoch) = public.audit_life(p.producer_epoch)
        AND (n.lane = p.lane OR (n.lane < 0) <> (p.lane < 0))));
  GET DIAGNOSTICS rows = ROW_COUNT;  what := 'producers';  RETURN NEXT;
  DELETE FROM public.audit_consumer_offsets o WHERE o.updated_at < before;
  GET DIAGNOSTICS rows = ROW_COUNT;  what := 'offsets';  RETURN NEXT;
END $$;
COMMENT ON FUNCTION audit_purge_aside IS 'Takes away conflicts, dead letters, past openings and abandoned offsets older than so many days.';
REVOKE ALL ON FUNCTION audit_purge_aside FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge_aside TO audit_keeper;

CREATE FUNCTION audit_hold_place(
  of_tenant text, since timestamptz, until timestamptz, of_actor text, of_resource_type text, of_resource_id text,
  why text, who text
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO public.audit_legal_holds
    (tenant_id, from_id, to_id, actor_id, resource_type, resource_id, reason, placed_by)
  VALUES (of_tenant, CASE WHEN since > to_timestamp(0) THEN public.audit_id_floor(since) END,   -- ids begin there
          CASE WHEN until IS NOT NULL THEN public.audit_id_floor(greatest(until, to_timestamp(0))) END,
          of_actor, of_resource_type, of_resource_id, why, who)
  RETURNING id
$$;
REVOKE ALL ON FUNCTION audit_hold_place FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_hold_place TO audit_keeper;

CREATE FUNCTION audit_hold_release(of_hold bigint, who text) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE public.audit_legal_holds SET released_by = who, released_at = clock_timestamp()
  WHERE id = of_hold AND released_at IS NULL
  RETURNING tenant_id
$$;
COMMENT ON FUNCTION audit_hold_release IS 'Ends a hold; the tenant it was on, or NULL where there is none that stands.';
REVOKE ALL ON FUNCTION audit_hold_release FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_hold_release TO audit_keeper;

-- What readers are not shown any more although it is still there. While a hold lies on a tenant, all that is there is
-- shown: what is kept for somebody is kept to be read.
CREATE FUNCTION audit_is_held(of_tenant text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM public.audit_legal_holds h WHERE h.released_at IS NULL AND h.tenant_id = of_tenant)
$$;
REVOKE ALL ON FUNCTION audit_is_held FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_is_held TO audit_reader;
