-- Question: how long did each page wait until somebody did something about it?
--
-- One row per page that was sent. acknowledged_at is the first act about it, whether somebody
-- acknowledged it, said what it is or resolved it; null while nobody did. acknowledged_by is the
-- name that the person gave, and acknowledge_ms counts from the page.

CREATE OR REPLACE VIEW marts.time_to_acknowledge AS
WITH

pages AS (
    SELECT
        page_alerts.page_id,
        MIN(alerts.rule) AS rule,
        COALESCE(MIN(page_alerts.kind), 'FIRST') AS kind,
        COUNT(*) AS alerts,
        MIN(page_alerts.happened_at) AS paged_at
    FROM facts.page_alerts
    LEFT JOIN marts.alerts
        ON page_alerts.alert_id = alerts.alert_id
    WHERE page_alerts.state = 'SENT'
    GROUP BY page_alerts.page_id
),

acts AS (
    SELECT
        page_id,
        act,
        by,
        event_date_origin AS acknowledged_at,
        ROW_NUMBER() OVER (PARTITION BY page_id ORDER BY event_date_origin, event_id) AS act_number
    FROM typed.page_act
    WHERE scope = 'page' AND act IN ('ACKNOWLEDGED', 'CONFIRMED', 'FALSE_POSITIVE', 'RESOLVED')
)

SELECT
    pages.page_id,
    pages.rule,
    pages.kind,
    pages.alerts,
    pages.paged_at,
    acts.acknowledged_at,
    acts.by AS acknowledged_by,
    acts.act AS first_act,
    DATEDIFF(MILLISECOND, pages.paged_at, acts.acknowledged_at) AS acknowledge_ms,
    freshness.lag_seconds
FROM pages
LEFT JOIN acts
    ON pages.page_id = acts.page_id AND acts.act_number = 1
CROSS JOIN marts.freshness;
