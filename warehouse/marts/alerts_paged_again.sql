-- Question: which alerts are in more than one sent page, and do the pages say so?
--
-- At most one page of an alert may be unmarked: the others carry `repeat`. unmarked_pages above
-- one means that somebody was paged twice without being told. A REMINDER, an ESCALATION and a
-- RESOLVED say what they are, and are not counted.

CREATE OR REPLACE VIEW marts.alerts_paged_again AS
SELECT
    repeated.alert_id,
    repeated.pages,
    repeated.unmarked_pages,
    freshness.lag_seconds
FROM (
    SELECT
        alert_id,
        COUNT(*) AS pages,
        SUM(CASE WHEN repeat THEN 0 ELSE 1 END) AS unmarked_pages
    FROM facts.page_alerts
    WHERE state = 'SENT' AND COALESCE(kind, 'FIRST') NOT IN ('REMINDER', 'ESCALATION', 'RESOLVED')
    GROUP BY alert_id
    HAVING COUNT(*) > 1
) AS repeated
CROSS JOIN marts.freshness;
