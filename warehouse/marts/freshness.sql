-- Question: how far are the marts behind what is loaded, and when was something loaded last?
--
-- Exactly one row. as_of: what was loaded and visible by then is in every mart; lag_seconds: how
-- long ago that is, the same number that each mart has as a column. The slowest step of the
-- refresh counts; before its first round the lag reaches back to 1970.

CREATE OR REPLACE VIEW marts.freshness AS
WITH

steps AS (
    SELECT COALESCE(MIN(as_of), CAST('1970-01-01 00:00:00' AS TIMESTAMP)) AS as_of
    FROM refresh.progress
    WHERE step LIKE 'typed.%' OR step LIKE 'facts.%'
),

newest AS (
    SELECT MAX(loaded_at) AS newest_load
    FROM refresh.loads
)

SELECT
    steps.as_of,
    DATEDIFF(SECOND, steps.as_of, SYSDATE) AS lag_seconds,
    newest.newest_load
FROM steps
CROSS JOIN newest;
