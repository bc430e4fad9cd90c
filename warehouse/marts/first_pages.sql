-- Question: when was somebody first paged of each alert, and by which kind of page?
--
-- One row per alert that stands in a page that was sent. An alert stands in one page, which may
-- have been sent again: all of its rows are of one kind. Pages that tell of it again (REMINDER,
-- ESCALATION, RESOLVED) are not its page.

CREATE OR REPLACE VIEW marts.first_pages AS
SELECT
    alert_id,
    MIN(happened_at) AS paged_at,
    COALESCE(MIN(kind), 'FIRST') AS page_kind
FROM facts.page_alerts
WHERE state = 'SENT' AND COALESCE(kind, 'FIRST') NOT IN ('REMINDER', 'ESCALATION', 'RESOLVED')
GROUP BY alert_id;
