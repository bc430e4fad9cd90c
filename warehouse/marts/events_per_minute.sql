-- Question: how many events of each type are there of each minute, and how many copies of them?
--
-- Minutes of event time. Delivery is at least once, so a few copies are no fault. Canaries,
-- their card's report and their alerts are no events here.

CREATE OR REPLACE VIEW marts.events_per_minute AS
WITH

canaries AS (
    SELECT
        DATE_TRUNC('minute', origin_at) AS minute,
        event_type,
        COUNT(*) AS event_count
    FROM facts.canaries
    GROUP BY DATE_TRUNC('minute', origin_at), event_type
    UNION ALL
    -- Their card's report goes before each of them, always as the same event.
    SELECT DISTINCT
        DATE_TRUNC('minute', origin_at) AS minute,
        'CARD_STATUS' AS event_type,
        1 AS event_count
    FROM facts.canaries
    WHERE event_type = 'PAYMENT_EVENT'
)

SELECT
    event_minutes.minute,
    event_minutes.event_type,
    event_minutes.event_count - COALESCE(canaries.event_count, 0) AS event_count,
    event_minutes.row_count - event_minutes.event_count AS copies,
    freshness.lag_seconds
FROM facts.event_minutes
LEFT JOIN canaries
    ON
        event_minutes.minute = canaries.minute
        AND event_minutes.event_type = canaries.event_type
CROSS JOIN marts.freshness
WHERE event_minutes.event_count > COALESCE(canaries.event_count, 0);
