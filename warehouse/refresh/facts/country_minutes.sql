-- Question: how many payments were there each minute in each country?
-- Reads: typed.payment_event
-- Writes: facts.country_minutes
--
-- The minutes that new payments fall into, late ones too, are counted again as a whole. Records
-- are counted: a payment that was authorized and then captured is one of either.

CREATE TEMPORARY TABLE touched_minutes AS
SELECT DISTINCT DATE_TRUNC('minute', event_date_origin) AS minute
FROM typed.payment_event
WHERE batch > :from_batch AND batch <= :to_batch;

DELETE FROM facts.country_minutes
USING touched_minutes
WHERE country_minutes.minute = touched_minutes.minute;

INSERT INTO facts.country_minutes (minute, country, record_count)
SELECT
    touched_minutes.minute,
    payment_event.country,
    COUNT(*) AS record_count
FROM touched_minutes
INNER JOIN typed.payment_event
    ON
        touched_minutes.minute <= payment_event.event_date_origin
        AND DATEADD(MINUTE, 1, touched_minutes.minute) > payment_event.event_date_origin
WHERE
    -- The span of all of them: an index or a sort key reads that and no more of the table.
    payment_event.event_date_origin >= (SELECT MIN(span.minute) FROM touched_minutes AS span)
    AND payment_event.event_date_origin
    < (SELECT DATEADD(MINUTE, 1, MAX(span.minute)) FROM touched_minutes AS span)
GROUP BY touched_minutes.minute, payment_event.country;

DROP TABLE touched_minutes;
