-- Seals (docs/integrity.md). The keeper makes them and may change none: it comes in through functions that check the
-- chain's order, and sees keys and hashes of events, never their content. What a seal is worth does not rest on any of
-- this: it is signed with a key that is not in the database.

CREATE TABLE audit_seals (
  seq          bigint NOT NULL PRIMARY KEY CHECK (seq > 0),
  kind         text   NOT NULL CHECK (kind IN ('seal', 'addendum', 'purge', 'drop')),
  partition    text   NOT NULL,
  record       text   NOT NULL,       -- the exact text that was signed; the columns before it repeat what it says
  signature    bytea  NOT NULL,
  published_at timestamptz            -- when the topic had it
);
CREATE INDEX audit_seals_partition ON audit_seals (partition, seq);
COMMENT ON TABLE audit_seals IS 'A chain of signed records: what each closed partition held.';

CREATE TABLE audit_seal_blocks (
  seq       bigint  NOT NULL,
  block     integer NOT NULL,
  leaves    bytea   NOT NULL,         -- 49 bytes a row: key and hash
  signature bytea   NOT NULL,
  PRIMARY KEY (seq, block)
);
ALTER TABLE audit_seal_blocks ALTER COLUMN leaves SET STORAGE EXTERNAL;   -- hashes do not compress
COMMENT ON TABLE audit_seal_blocks IS 'The leaves behind each root: without them a change could be seen and not named.';

CREATE TABLE audit_late_rows (
  event_id   uuid        NOT NULL,
  phase      text        NOT NULL,
  partition  text        NOT NULL,
  login      text        NOT NULL,
  arrived_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_late_rows_partition ON audit_late_rows (partition, event_id, phase);
COMMENT ON TABLE audit_late_rows IS 'Rows that came into a sealed partition, until an addendum takes them in.';

GRANT SELECT ON audit_seals, audit_seal_blocks, audit_late_rows, audit_purged_leaves
  TO audit_keeper;

-- A page of keys and hashes in key order, straight from one partition: a function's whole result would be written to
-- disk before its first row is seen.
CREATE FUNCTION audit_leaves(part text, after_id uuid, after_phase text, most integer)
RETURNS TABLE (event_id uuid, phase text, payload_hash bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.audit_partitions() p WHERE p.name = part) THEN
    RAISE EXCEPTION 'no partition `%`', part USING ERRCODE = 'undefined_table';
  END IF;
  RETURN QUERY EXECUTE format(
    'SELECT e.event_id, e.phase, e.payload_hash FROM public.%I e WHERE (e.event_id, e.phase) > ($1, $2)'
    ' ORDER BY e.event_id, e.phase LIMIT $3', part) USING after_id, after_phase, most;
END $$;
REVOKE ALL ON FUNCTION audit_leaves FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_leaves TO audit_keeper;
GRANT EXECUTE ON FUNCTION audit_hashes TO audit_keeper;

CREATE FUNCTION audit_note_late() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO public.audit_late_rows (event_id, phase, partition, login)
  VALUES (NEW.event_id, NEW.phase, TG_TABLE_NAME, session_user);
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION audit_note_late FROM PUBLIC;

-- From here on whoever inserts into this partition is noted. The lock waits for those who are at it: what they insert
-- is there, or noted, whenever the rows are read after this.
CREATE FUNCTION audit_watch_late(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.audit_partitions() p WHERE p.name = part) THEN
    RAISE EXCEPTION 'no partition `%`', part USING ERRCODE = 'undefined_table';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = format('public.%I', part)::regclass
                 AND t.tgname = 'audit_late') THEN
    EXECUTE format('CREATE TRIGGER audit_late AFTER INSERT ON public.%I'
                   ' FOR EACH ROW EXECUTE FUNCTION public.audit_note_late()', part);
  END IF;
END $$;
REVOKE ALL ON FUNCTION audit_watch_late FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_watch_late TO audit_keeper;

-- A block comes before its record, in one transaction with it; once the record is there, no block can be added.
CREATE FUNCTION audit_keep_block(of_seq bigint, number integer, leaves bytea, signature bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF of_seq <> (SELECT coalesce(max(s.seq), 0) + 1 FROM public.audit_seals s) THEN
    RAISE EXCEPTION 'the next seal is not %', of_seq USING ERRCODE = 'check_violation';
  END IF;
  INSERT INTO public.audit_seal_blocks VALUES (of_seq, number, leaves, signature);
END $$;
REVOKE ALL ON FUNCTION audit_keep_block FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_keep_block TO audit_keeper;

CREATE FUNCTION audit_seal(text_of_record text, signature bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  said jsonb := text_of_record::jsonb;
  last record;
BEGIN
  SELECT s.seq, encode(sha256(convert_to(s.record, 'UTF8')), 'hex') AS digest INTO last
  FROM public.audit_seals s ORDER BY s.seq DESC LIMIT 1;
  IF (said->>'seq')::bigint <> coalesce(last.seq, 0) + 1
     OR said->>'previous' <> coalesce(last.digest, repeat('0', 64)) THEN
    RAISE EXCEPTION 'seal % does not follow the last one', said->>'seq' USING ERRCODE = 'check_violation';
  END IF;
  INSERT INTO public.audit_seals (seq, kind, partition, record, signature)
  VALUES ((said->>'seq')::bigint, said->>'kind', said->>'partition', text_of_record, signature);
END $$;
REVOKE ALL ON FUNCTION audit_seal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_seal TO audit_keeper;

CREATE FUNCTION audit_seals_published(upto bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE public.audit_seals SET published_at = clock_timestamp() WHERE seq <= upto AND published_at IS NULL
$$;
REVOKE ALL ON FUNCTION audit_seals_published FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_seals_published TO audit_keeper;

-- What has been taken into a record leaves the inbox, in the transaction of that record. Rows that came by another
-- login than the writer's stay where they are: they are what `lychgate audit verify` names.
CREATE FUNCTION audit_take_late(part text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH taken AS (
    DELETE FROM public.audit_late_rows WHERE partition = part AND login IN ('audit_writer', 'audit_keeper') RETURNING 1)
  SELECT count(*) FROM taken
$$;
REVOKE ALL ON FUNCTION audit_take_late FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_take_late TO audit_keeper;

CREATE FUNCTION audit_purge_is_due(id uuid, purged_at timestamptz, days integer) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT id < public.audit_id_floor(greatest(to_timestamp(0), purged_at - make_interval(hours => 24 * days)))
    AND purged_at <= now() + interval '5 minutes'
$$;
COMMENT ON FUNCTION audit_purge_is_due IS 'Whether a row was old enough when it was deleted. Nothing younger is signed as purged.';

-- A row that was deleted and came again is not gone: no record may say so.
CREATE FUNCTION audit_forget_returned(lowest uuid, beyond uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  DELETE FROM public.audit_purged_leaves p
  WHERE p.event_id >= lowest AND p.event_id < beyond
    AND EXISTS (SELECT FROM public.audit_events e WHERE e.event_id = p.event_id AND e.phase = p.phase)
$$;
REVOKE ALL ON FUNCTION audit_forget_returned FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_forget_returned TO audit_keeper;

CREATE FUNCTION audit_take_purged(lowest uuid, beyond uuid, days integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH taken AS (
    DELETE FROM public.audit_purged_leaves p
    WHERE p.event_id >= lowest AND p.event_id < beyond AND public.audit_purge_is_due(p.event_id, p.purged_at, days)
    RETURNING 1)
  SELECT count(*) FROM taken
$$;
REVOKE ALL ON FUNCTION audit_take_purged FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_take_purged TO audit_keeper;

-- Of a partition that is signed as dropped, the record stays and the leaves go.
CREATE FUNCTION audit_forget_blocks(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  dropped bigint := (SELECT max(s.seq) FROM public.audit_seals s WHERE s.partition = part AND s.kind = 'drop');
BEGIN
  DELETE FROM public.audit_seal_blocks b USING public.audit_seals s
  WHERE s.seq = b.seq AND s.partition = part AND s.seq < dropped;
  IF dropped IS NOT NULL THEN
    DELETE FROM public.audit_late_rows WHERE partition = part;
  END IF;
END $$;
REVOKE ALL ON FUNCTION audit_forget_blocks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_forget_blocks TO audit_keeper;

CREATE FUNCTION audit_is_sealed(name text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM public.audit_seals s WHERE s.partition = $1 AND s.kind = 'seal'
      AND NOT EXISTS (SELECT FROM public.audit_seals d
                      WHERE d.partition = s.partition AND d.kind = 'drop' AND d.seq > s.seq))
$$;
COMMENT ON FUNCTION audit_is_sealed IS 'Whether a partition may be dropped without a hole in the chain.';
REVOKE ALL ON FUNCTION audit_is_sealed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_is_sealed TO audit_keeper, audit_writer, audit_reader;
