-- Question: how long did each page wait until somebody did something about it?
--
-- One row per page that was sent; a REMINDER or an ESCALATION is no page of its own.
-- acknowledged_at is the first act about it, whether somebody acknowledged it, said what it is or
-- resolved it; null while nobody did. An act about a page that tells of its alerts again counts for
-- it, too. acknowledged_by is the name that the person gave, and acknowledge_ms counts from the
-- page. escalated_at is when the notifier told the next people.

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
    WHERE
        page_alerts.state = 'SENT'
        AND COALESCE(page_alerts.kind, 'FIRST') NOT IN ('REMINDER', 'ESCALATION', 'RESOLVED')
    GROUP BY page_alerts.page_id
),

-- Which pages an act about a page is about: itself, and of one that tells again those.
told AS (
    SELECT DISTINCT
        again.page_id,
        own.page_id AS own_page_id
    FROM facts.page_alerts AS again
    INNER JOIN facts.page_alerts AS own
        ON again.alert_id = own.alert_id
    WHERE again.kind IN ('REMINDER', 'ESCALATION', 'RESOLVED')
    UNION ALL
    SELECT
        page_id,
        page_id AS own_page_id
    FROM pages
),

acts AS (
    SELECT
        told.own_page_id AS page_id,
        page_act.act,
        page_act.by,
        page_act.event_date_origin AS acknowledged_at,
        ROW_NUMBER() OVER (
            PARTITION BY told.own_page_id ORDER BY page_act.event_date_origin, page_act.event_id
        ) AS act_number
    FROM typed.page_act
    INNER JOIN told
        ON page_act.page_id = told.page_id
    WHERE
        page_act.scope = 'page'
        AND page_act.act IN ('ACKNOWLEDGED', 'CONFIRMED', 'FALSE_POSITIVE', 'RESOLVED')
),

escalations AS (
    SELECT
        page_id,
        MIN(event_date_origin) AS escalated_at
    FROM typed.page_act
    WHERE act = 'ESCALATED'
    GROUP BY page_id
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
    escalations.escalated_at,
    freshness.lag_seconds
FROM pages
LEFT JOIN acts
    ON pages.page_id = acts.page_id AND acts.act_number = 1
LEFT JOIN escalations
    ON pages.page_id = escalations.page_id
CROSS JOIN marts.freshness;
