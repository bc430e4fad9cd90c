-- Question: when was somebody first paged of each alert?
--
-- One row per alert that stands in a page that was sent.

CREATE OR REPLACE VIEW marts.first_pages AS
SELECT
    alert_id,
    MIN(happened_at) AS paged_at
FROM facts.page_alerts
WHERE state = 'SENT'
GROUP BY alert_id;
