-- Question: how many events of each type are there of each minute, and how many copies of them?
--
-- Minutes of event time. Delivery is at least once, so a few copies are no fault.

CREATE OR REPLACE VIEW marts.events_per_minute AS
SELECT
    event_minutes.minute,
    event_minutes.event_type,
    event_minutes.event_count,
    event_minutes.row_count - event_minutes.event_count AS copies,
    freshness.lag_seconds
FROM facts.event_minutes
CROSS JOIN marts.freshness;
