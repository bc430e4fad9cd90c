-- Question: how many payments, alerts and pages were there in each minute or hour since a moment?
--
-- By event time: an alert stands where its payment does.

SELECT
    counts.happened,
    counts.event_type,
    SUM(counts.event_count) AS event_count
FROM (
    SELECT
        DATE_TRUNC(:bucket, events_per_minute.minute) AS happened,
        events_per_minute.event_type,
        events_per_minute.event_count
    FROM marts.events_per_minute
    WHERE
        events_per_minute.minute >= :since
        AND events_per_minute.event_type IN (
            'PAYMENT_EVENT', 'PAYMENT_ALERT', 'RULE_ALERT', 'PAGE_EVENT'
        )
) AS counts
GROUP BY counts.happened, counts.event_type
ORDER BY counts.happened ASC, counts.event_type ASC;
