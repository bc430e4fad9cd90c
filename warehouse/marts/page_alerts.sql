-- Question: which page accounts for which alert?
--
-- One row per alert in a page's event.

CREATE OR REPLACE VIEW marts.page_alerts AS
SELECT
    page_alerts.alert_id,
    page_alerts.page_id,
    page_alerts.state,
    page_alerts.channel,
    page_alerts.repeat,
    page_alerts.happened_at,
    COALESCE(page_alerts.kind, 'FIRST') AS kind,
    freshness.lag_seconds
FROM facts.page_alerts
CROSS JOIN marts.freshness;
