-- What the consumer, the dead letters and the making of partitions need.

CREATE FUNCTION audit_premake(ahead_days integer) RETURNS integer   -- gives up on a busy table: the keeper comes again
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
  SELECT public.audit_make_partitions(now(), now() + make_interval(days => least(greatest(ahead_days, 1), 400)))
$$;
COMMENT ON FUNCTION audit_premake(integer) IS 'The partitions of the next days, as the keeper is configured.';
REVOKE ALL ON FUNCTION audit_premake(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_premake(integer) TO audit_keeper;

CREATE FUNCTION audit_partitions()
RETURNS TABLE (name text, lowest uuid, beyond uuid, since timestamptz, until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT p.name, p.bound[1]::uuid, p.bound[2]::uuid,
         to_timestamp(('x' || left(replace(p.bound[1], '-', ''), 12))::bit(48)::bigint / 1000.0),
         to_timestamp(('x' || left(replace(p.bound[2], '-', ''), 12))::bit(48)::bigint / 1000.0)
  FROM (SELECT c.relname::text AS name,
               regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bound
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_events'::regclass AND NOT i.inhdetachpending) p
  WHERE p.bound IS NOT NULL   -- a default partition, which we never make
  ORDER BY p.bound[1]
$$;
COMMENT ON FUNCTION audit_partitions IS 'The partitions of audit_events, oldest first: ids from `lowest` up to, not including, `beyond`.';
REVOKE ALL ON FUNCTION audit_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_partitions TO audit_keeper;

-- What the record before `next_offset` was, so that a topic that was deleted and made anew is not taken for the old one.
ALTER TABLE audit_consumer_offsets ADD COLUMN anchor bigint;

-- Dead letters have one home, on both ways. `outcome` says how one ended; without it, it is pending.
ALTER TABLE audit_dead_letters
  ADD COLUMN source   text    NOT NULL DEFAULT '',
  ADD COLUMN attempts integer NOT NULL DEFAULT 0,
  ADD COLUMN outcome  text    CHECK (outcome IN ('replayed', 'duplicate', 'conflict', 'expired', 'dismissed')),
  ADD COLUMN ended_at timestamptz;
COMMENT ON TABLE audit_dead_letters IS 'Records that cannot become rows, of the direct form and of the topic.';
CREATE INDEX audit_dead_letters_waiting ON audit_dead_letters (id) WHERE outcome IS NULL;

CREATE FUNCTION audit_dead_letters_list(newest integer, with_ended boolean, of_reason text)
RETURNS TABLE (id bigint, reason text, error text, source text, size_bytes integer, received_at timestamptz,
               attempts integer, outcome text, ended_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.id, d.reason, d.error, d.source, octet_length(d.payload), d.received_at, d.attempts, d.outcome, d.ended_at
  FROM public.audit_dead_letters d
  WHERE (with_ended OR d.outcome IS NULL) AND (of_reason IS NULL OR d.reason = of_reason)
  ORDER BY d.id DESC LIMIT newest
$$;
REVOKE ALL ON FUNCTION audit_dead_letters_list FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_dead_letters_list TO audit_keeper;

CREATE FUNCTION audit_dead_letter(of_id bigint)
RETURNS TABLE (id bigint, reason text, error text, source text, size_bytes integer, received_at timestamptz,
               attempts integer, outcome text, ended_at timestamptz, payload_hash bytea, payload bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.id, d.reason, d.error, d.source, octet_length(d.payload), d.received_at, d.attempts, d.outcome, d.ended_at,
         d.payload_hash, d.payload
  FROM public.audit_dead_letters d WHERE d.id = of_id
$$;
REVOKE ALL ON FUNCTION audit_dead_letter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_dead_letter TO audit_keeper;

CREATE FUNCTION audit_dead_letters_take(after bigint, at_most integer, ids bigint[], of_reason text)
RETURNS TABLE (id bigint, payload bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.id, d.payload FROM public.audit_dead_letters d
  WHERE d.outcome IS NULL AND d.id > after AND (ids IS NULL OR d.id = ANY (ids))
    AND (of_reason IS NULL OR d.reason = of_reason)
  ORDER BY d.id LIMIT at_most FOR UPDATE SKIP LOCKED
$$;
COMMENT ON FUNCTION audit_dead_letters_take IS 'Pending letters, locked for this transaction: two replays share them.';
REVOKE ALL ON FUNCTION audit_dead_letters_take FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_dead_letters_take TO audit_keeper;

CREATE FUNCTION audit_dead_letters_settle(ids bigint[], outcomes text[], reasons text[], errors text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE public.audit_dead_letters d
  SET attempts = d.attempts + (s.outcome IS DISTINCT FROM 'dismissed')::integer, outcome = s.outcome, reason = coalesce(s.reason, d.reason),
      error = coalesce(s.error, d.error), ended_at = CASE WHEN s.outcome IS NOT NULL THEN clock_timestamp() END
  FROM unnest(ids, outcomes, reasons, errors) AS s(id, outcome, reason, error)
  WHERE d.id = s.id AND d.outcome IS NULL
$$;
COMMENT ON FUNCTION audit_dead_letters_settle IS 'How each attempt ended; one that is still dead says why now, and stays.';
REVOKE ALL ON FUNCTION audit_dead_letters_settle FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_dead_letters_settle TO audit_keeper;

CREATE FUNCTION audit_dead_letters_count() RETURNS TABLE (reason text, pending bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.reason, count(*) FROM public.audit_dead_letters d WHERE d.outcome IS NULL GROUP BY d.reason
$$;
REVOKE ALL ON FUNCTION audit_dead_letters_count FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_dead_letters_count TO audit_keeper;

-- A replay writes as the consumer does: rows of its own, hashes of the keys it names, conflicts apart.
GRANT INSERT ON audit_conflicts TO audit_keeper;
GRANT EXECUTE ON FUNCTION audit_hashes TO audit_keeper;
