-- What `complete_through` rests on: reports that are checked here, an answer that is kept and never goes back, and a
-- word for rows that come below it all the same (ADR 163, 164).

ALTER TABLE audit_producers
  ADD COLUMN claimed    timestamptz,                                   -- what it said last, believed or not
  ADD COLUMN ahead      boolean     NOT NULL DEFAULT false,            -- what it said was beyond belief: its clock is wrong
  ADD COLUMN retired_at timestamptz,                                   -- declared lost
  ADD COLUMN began_at   timestamptz NOT NULL DEFAULT clock_timestamp();
REVOKE ALL ON audit_producers FROM audit_writer;                       -- it reports, through `audit_report` alone

CREATE TABLE audit_completeness (
  one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
  through timestamptz
);
COMMENT ON TABLE audit_completeness IS 'The one row of what readers were last told: every event before `through` is in the store.';
INSERT INTO audit_completeness DEFAULT VALUES;

-- An epoch is the second its folder was made, times 100,000, plus how often the folder was opened since: two epochs of
-- one folder have the same life, and only within a life does the next epoch answer for the one before.
CREATE FUNCTION audit_life(of_epoch bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT of_epoch / 100000 $$;

CREATE FUNCTION audit_holds(
  OUT producer_id text, OUT producer_epoch bigint, OUT lanes integer, OUT watermark timestamptz, OUT claimed timestamptz,
  OUT began_at timestamptz, OUT reported_at timestamptz, OUT ended boolean, OUT ahead boolean, OUT retired_at timestamptz,
  OUT holds_at timestamptz
) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  WITH current AS (   -- the newest epoch in each lane; a change of transport leaves the other's lanes behind
    SELECT p.* FROM public.audit_producers p
    WHERE NOT EXISTS (
      SELECT FROM public.audit_producers n
      WHERE n.producer_id = p.producer_id AND n.producer_epoch > p.producer_epoch
        AND public.audit_life(n.producer_epoch) = public.audit_life(p.producer_epoch)
        AND (n.lane = p.lane OR (n.lane < 0) <> (p.lane < 0)))
  ), each AS (
    SELECT c.producer_id, c.producer_epoch, max(c.lanes) AS lanes, count(*) < max(c.lanes) AS partial,
           min(c.watermark) AS watermark, min(c.watermark) FILTER (WHERE NOT c.ended) AS open, max(c.claimed) AS claimed,
           min(c.began_at) AS began_at, max(c.reported_at) AS reported_at, bool_and(c.ended) AS ended,
           bool_and(c.ahead) AS ahead, max(c.retired_at) AS retired_at
    FROM current c GROUP BY c.producer_id, c.producer_epoch
  )
  SELECT e.producer_id, e.producer_epoch, e.lanes, e.watermark, e.claimed, e.began_at, e.reported_at,
         e.ended AND NOT e.partial, e.ahead, e.retired_at,
         CASE WHEN e.retired_at IS NOT NULL OR e.ahead THEN NULL   -- its records cannot become rows, or were given up
              WHEN e.partial THEN to_timestamp(0)                   -- not every lane has spoken
              ELSE e.open END
  FROM each e
$$;
COMMENT ON FUNCTION audit_holds IS 'Each producer''s current opening, and where it holds `complete_through`; NULL: it does not.';
REVOKE ALL ON FUNCTION audit_holds FROM PUBLIC;

CREATE FUNCTION audit_advance() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  before timestamptz;
  now_at timestamptz;
BEGIN
  -- One at a time, and each sees what the one before has committed: else a producer that is just being made known could
  -- be passed by whoever does not see it yet.
  SELECT c.through INTO before FROM public.audit_completeness c FOR UPDATE;
  SELECT coalesce(min(h.holds_at), (SELECT max(p.watermark) FROM public.audit_producers p)) INTO now_at
  FROM public.audit_holds() h;
  IF now_at > coalesce(before, '-infinity') THEN   -- what was once answered stays true, whoever comes late
    UPDATE public.audit_completeness SET through = now_at;
    RETURN now_at;
  END IF;
  RETURN before;
END $$;
COMMENT ON FUNCTION audit_advance IS 'Moves the answer of `audit_complete_through` on as far as the producers allow; never back.';
REVOKE ALL ON FUNCTION audit_advance FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_advance TO audit_writer, audit_keeper;

CREATE FUNCTION audit_report(
  of_producer text, of_epoch bigint, of_lane integer, of_lanes integer, at_ms double precision, has_ended boolean
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  -- Within the years 1970 to 9999, whatever was said: those who show it cannot say more.
  said     constant timestamptz := to_timestamp(least(greatest(at_ms, 0), 253402300799000) / 1000);
  seen     constant timestamptz := clock_timestamp();
  -- As far ahead as ids are taken (audit/ingest.py). Beyond it the reporter's clock is wrong, and its records become
  -- dead letters: it is neither believed nor waited for.
  believed constant boolean := said <= seen + interval '5 minutes';
  known    constant timestamptz := coalesce((SELECT through FROM public.audit_completeness), to_timestamp(0));
BEGIN
  INSERT INTO public.audit_producers AS p
    (producer_id, producer_epoch, lane, lanes, watermark, ended, claimed, ahead, reported_at)
  VALUES (of_producer, of_epoch, of_lane, of_lanes, CASE WHEN believed THEN least(said, seen) ELSE known END, has_ended,
          said, NOT believed, seen)
  ON CONFLICT (producer_id, producer_epoch, lane) DO UPDATE
  SET watermark = CASE WHEN believed THEN greatest(p.watermark, least(said, seen)) ELSE p.watermark END,
      ended = p.ended OR has_ended, lanes = of_lanes, claimed = said, ahead = NOT believed, reported_at = seen,
      -- Who was given up and comes back is waited for again once it has caught up with what readers were told.
      retired_at = CASE WHEN believed AND least(said, seen) >= known THEN NULL ELSE p.retired_at END;
END $$;
COMMENT ON FUNCTION audit_report IS 'Takes a watermark: everything of this producer before it is in the store. `audit_advance` follows.';
REVOKE ALL ON FUNCTION audit_report FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_report TO audit_writer;

CREATE OR REPLACE FUNCTION audit_complete_through() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT through FROM public.audit_completeness
$$;
COMMENT ON FUNCTION audit_complete_through IS 'Nothing earlier turns up any more, but what an `audit.late` event names. NULL before the first report; never goes back.';

CREATE OR REPLACE FUNCTION audit_producer_gone(of_producer text, of_epoch bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM public.audit_producers
                 WHERE producer_id = of_producer
                   AND (producer_epoch > of_epoch OR (producer_epoch = of_epoch AND (ended OR retired_at IS NOT NULL))))
$$;

-- Rows that come below what readers were told. A completion is none: its event was there, and only its end is new.
CREATE FUNCTION audit_late(ids uuid[], phases text[]) RETURNS TABLE (event_id uuid, phase text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.event_id, k.phase
  FROM unnest(ids, phases) AS k(event_id, phase)
  JOIN public.audit_completeness c ON k.event_id < public.audit_id_floor(c.through)
  WHERE k.phase <> 'completed'
    AND NOT EXISTS (SELECT FROM public.audit_events e WHERE e.event_id = k.event_id AND e.phase = k.phase)
$$;
COMMENT ON FUNCTION audit_late IS 'Those of the keys that would be new below `audit_complete_through()`.';
REVOKE ALL ON FUNCTION audit_late FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_late TO audit_writer, audit_keeper;   -- the keeper replays dead letters

-- What operators are shown.
CREATE FUNCTION audit_producer_states()
RETURNS TABLE (producer text, epoch bigint, state text, holds boolean, watermark timestamptz, claimed timestamptz,
               began_at timestamptz, reported_at timestamptz, silent_s double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH h AS (SELECT * FROM public.audit_holds())
  SELECT h.producer_id, h.producer_epoch,
         CASE WHEN h.ended THEN 'ended' WHEN h.retired_at IS NOT NULL THEN 'retired' WHEN h.ahead THEN 'ahead'
              WHEN h.reported_at < clock_timestamp() - interval '30 seconds' THEN 'silent' ELSE 'reporting' END,
         coalesce(NOT h.ended AND h.holds_at = (SELECT min(holds_at) FROM h), false),
         h.watermark, h.claimed, h.began_at, h.reported_at, extract(epoch FROM clock_timestamp() - h.reported_at)::float8
  FROM h ORDER BY h.ended, h.holds_at NULLS LAST, h.producer_id, h.producer_epoch
$$;
COMMENT ON FUNCTION audit_producer_states IS 'Every producer''s current opening: whether it lives, and whether it is the one that holds `complete_through`.';
REVOKE ALL ON FUNCTION audit_producer_states FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_producer_states TO audit_writer, audit_keeper;

-- What the store knows of an opening's numbers. Reads no more than the time since it began.
CREATE FUNCTION audit_known_numbers(of_producer text, of_epoch bigint, OUT last_seq bigint, OUT missing jsonb, OUT missing_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH began AS (
    SELECT min(p.began_at) - interval '1 day' AS at FROM public.audit_producers p
    WHERE p.producer_id = of_producer AND p.producer_epoch = of_epoch
  ), lost AS (   -- what loss events have named already is not missing twice
    SELECT (r.pair->>0)::bigint AS first, (r.pair->>1)::bigint AS last
    FROM public.audit_events e, began b, jsonb_array_elements(e.body->'details'->'missing') AS r(pair)
    WHERE e.event_id >= public.audit_id_floor(b.at) AND e.event_type = 'audit.loss'
      AND e.producer_id = of_producer AND e.producer_epoch = of_epoch
  ), seen AS (
    SELECT e.producer_seq AS first, e.producer_seq AS last FROM public.audit_events e, began b
    WHERE e.event_id >= public.audit_id_floor(b.at) AND e.producer_id = of_producer AND e.producer_epoch = of_epoch
      AND e.producer_seq > 0
    UNION ALL SELECT first, last FROM lost
  ), steps AS (
    SELECT coalesce(max(last) OVER (ORDER BY first, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) + 1 AS gap,
           first - 1 AS until, last FROM seen
  )
  SELECT coalesce((SELECT max(last) FROM steps), 0),
         coalesce((SELECT jsonb_agg(jsonb_build_array(gap, until) ORDER BY gap)
                   FROM (SELECT gap, until FROM steps WHERE until >= gap ORDER BY gap LIMIT 100) g), '[]'),
         coalesce((SELECT sum(until - gap + 1) FROM steps WHERE until >= gap), 0)::bigint
$$;
REVOKE ALL ON FUNCTION audit_known_numbers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_known_numbers TO audit_keeper;

CREATE FUNCTION audit_retire(of_producer text, of_epoch bigint, silent_for interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM FROM public.audit_producers p
  WHERE p.producer_id = of_producer AND p.producer_epoch = of_epoch FOR UPDATE;
  IF EXISTS (SELECT FROM public.audit_producers p
             WHERE p.producer_id = of_producer AND p.producer_epoch = of_epoch
               AND p.reported_at > clock_timestamp() - silent_for) THEN
    RETURN false;
  END IF;
  UPDATE public.audit_producers p SET retired_at = clock_timestamp()
  WHERE p.producer_id = of_producer AND p.producer_epoch = of_epoch AND NOT p.ended AND p.retired_at IS NULL;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION audit_retire IS 'Declares an opening lost, unless it has reported within that time (NULL: whatever it does). `audit_advance` follows.';
REVOKE ALL ON FUNCTION audit_retire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_retire TO audit_keeper;
