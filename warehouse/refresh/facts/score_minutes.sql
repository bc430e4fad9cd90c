-- Question: how many payments of each minute have which score?
-- Reads: typed.payment_attributed
-- Writes: facts.score_minutes
--
-- Minutes of the payments' own time. Those that new scores fall into, late ones too, are counted
-- again as a whole.

CREATE TEMPORARY TABLE touched_minutes AS
SELECT DISTINCT DATE_TRUNC('minute', event_date_origin) AS minute
FROM typed.payment_attributed
WHERE batch > :from_batch AND batch <= :to_batch;

DELETE FROM facts.score_minutes
USING touched_minutes
WHERE score_minutes.minute = touched_minutes.minute;

INSERT INTO facts.score_minutes (minute, score, payment_count)
SELECT
    touched_minutes.minute,
    attributed.score,
    COUNT(*) AS payment_count
FROM touched_minutes
INNER JOIN typed.payment_attributed AS attributed
    ON
        touched_minutes.minute <= attributed.event_date_origin
        AND DATEADD(MINUTE, 1, touched_minutes.minute) > attributed.event_date_origin
WHERE
    -- The span of all of them: an index or a sort key reads that and no more of the table.
    attributed.event_date_origin >= (SELECT MIN(span.minute) FROM touched_minutes AS span)
    AND attributed.event_date_origin
    < (SELECT DATEADD(MINUTE, 1, MAX(span.minute)) FROM touched_minutes AS span)
GROUP BY touched_minutes.minute, attributed.score;

DROP TABLE touched_minutes;
