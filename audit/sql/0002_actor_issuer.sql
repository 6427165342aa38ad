-- Two issuers may be trusted for one tenant and give out the same `sub`: only issuer and id together name a person.
-- A reader's own rows are found by both; the index on actor_id still leads there.
ALTER TABLE audit_events ADD COLUMN actor_issuer text;
