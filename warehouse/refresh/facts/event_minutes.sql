-- Question: how many rows, and how many events, of each type are there of each minute?
-- Reads: staging.events, refresh.loads
-- Writes: facts.event_minutes
--
-- Minutes of event time. A row more than events is a copy. The minutes that new rows fall into are
-- counted again as a whole.

CREATE TEMPORARY TABLE touched_minutes AS
SELECT DISTINCT
    event_type,
    DATE_TRUNC('minute', event_date_origin) AS minute
FROM staging.events
WHERE
    event_dw_regdate BETWEEN :loaded_from AND :loaded_to
    AND event_dw_regdate IN (
        SELECT loads.loaded_at
        FROM refresh.loads
        WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
    );

DELETE FROM facts.event_minutes
USING touched_minutes
WHERE
    event_minutes.event_type = touched_minutes.event_type
    AND event_minutes.minute = touched_minutes.minute;

INSERT INTO facts.event_minutes (minute, event_type, row_count, event_count)
SELECT
    touched_minutes.minute,
    touched_minutes.event_type,
    COUNT(*) AS row_count,
    COUNT(DISTINCT events.event_id) AS event_count
FROM touched_minutes
INNER JOIN staging.events
    ON
        touched_minutes.event_type = events.event_type
        AND touched_minutes.minute <= events.event_date_origin
        AND DATEADD(MINUTE, 1, touched_minutes.minute) > events.event_date_origin
WHERE
    -- The span of all of them: an index or a sort key reads that and no more of the table.
    events.event_date_origin >= (SELECT MIN(span.minute) FROM touched_minutes AS span)
    AND events.event_date_origin
    < (SELECT DATEADD(MINUTE, 1, MAX(span.minute)) FROM touched_minutes AS span)
GROUP BY touched_minutes.minute, touched_minutes.event_type;

DROP TABLE touched_minutes;
