-- Who may do what, granted anew whenever the views are.
--
-- cardwatch_loader loads, for Firehose and for `cardwatch backfill`, and can read no event. UPDATE
-- on the ledger is what LOCK asks for; two backfills at once must see each other's loads.
-- cardwatch_reader is what people and dashboards are given:
-- GRANT ROLE cardwatch_reader TO somebody.

GRANT USAGE ON SCHEMA staging TO cardwatch_loader;

GRANT INSERT ON TABLE staging.events TO cardwatch_loader;

GRANT SELECT, INSERT, UPDATE ON TABLE staging.loaded_objects TO cardwatch_loader;

GRANT SELECT, INSERT ON TABLE staging.bad_objects TO cardwatch_loader;

GRANT USAGE ON SCHEMA staging, typed, facts, refresh, marts, banking TO ROLE cardwatch_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA staging, typed, facts, refresh, marts, banking
TO ROLE cardwatch_reader;
