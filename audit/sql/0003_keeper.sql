-- The keeper (retention, seals) writes events of its own, in the transaction of what they tell of. It reads none.
CREATE POLICY keeper_inserts ON audit_events FOR INSERT TO audit_keeper WITH CHECK (true);
GRANT INSERT ON audit_events TO audit_keeper;
GRANT EXECUTE ON FUNCTION audit_bounds TO audit_keeper;
GRANT EXECUTE ON FUNCTION audit_complete_through TO audit_keeper;
