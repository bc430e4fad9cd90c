-- Question: which page accounts for which alert?
-- Reads: typed.page_event
-- Writes: facts.page_alerts
--
-- One row per alert in a page's event. The id list is JSON text; a page's event holds at most 999
-- ids (65,535 bytes at 67 bytes an id), so three digits number them.

DELETE FROM facts.page_alerts
USING typed.page_event
WHERE
    page_alerts.event_id = page_event.event_id
    AND page_event.batch > :from_batch
    AND page_event.batch <= :to_batch;

INSERT INTO facts.page_alerts (
    event_id, alert_id, page_id, state, channel, repeat, happened_at, kind
)
WITH

digits AS (
    SELECT 0 AS digit
    UNION ALL
    SELECT 1
    UNION ALL
    SELECT 2
    UNION ALL
    SELECT 3
    UNION ALL
    SELECT 4
    UNION ALL
    SELECT 5
    UNION ALL
    SELECT 6
    UNION ALL
    SELECT 7
    UNION ALL
    SELECT 8
    UNION ALL
    SELECT 9
),

positions AS (
    SELECT (hundreds.digit * 100) + (tens.digit * 10) + units.digit AS alert_position
    FROM digits AS hundreds
    CROSS JOIN digits AS tens
    CROSS JOIN digits AS units
)

SELECT
    page_event.event_id,
    JSON_EXTRACT_ARRAY_ELEMENT_TEXT(page_event.alert_ids, positions.alert_position) AS alert_id,
    page_event.page_id,
    page_event.state,
    page_event.channel,
    page_event.repeat,
    page_event.event_date_origin AS happened_at,
    page_event.kind
FROM typed.page_event
INNER JOIN positions
    ON JSON_ARRAY_LENGTH(page_event.alert_ids) > positions.alert_position
WHERE page_event.batch > :from_batch AND page_event.batch <= :to_batch;
