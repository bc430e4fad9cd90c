-- Question: of what each version of a rule paged, how much was fraud by the word of people?
--
-- One row per rule and version that somebody was paged of. judged: alerts in pages that somebody
-- confirmed or called a false positive; the newest such act about a page holds for all alerts in
-- it. confirmed_share is the precision, of those judged alone, null while there are none.

CREATE OR REPLACE VIEW marts.rule_precision AS
WITH

verdicts AS (
    SELECT
        page_id,
        act,
        ROW_NUMBER() OVER (
            PARTITION BY page_id ORDER BY event_date_origin DESC, event_id DESC
        ) AS verdict_number
    FROM typed.page_act
    WHERE scope = 'page' AND act IN ('CONFIRMED', 'FALSE_POSITIVE')
),

-- An alert may stand in more pages than its own, in a reminder: a verdict on that is not lost.
paged AS (
    SELECT
        page_alerts.alert_id,
        MAX(CASE WHEN verdicts.act = 'CONFIRMED' THEN 1 ELSE 0 END) AS confirmed,
        MAX(CASE WHEN verdicts.act = 'FALSE_POSITIVE' THEN 1 ELSE 0 END) AS false_positive
    FROM facts.page_alerts
    LEFT JOIN verdicts
        ON page_alerts.page_id = verdicts.page_id AND verdicts.verdict_number = 1
    WHERE page_alerts.state = 'SENT'
    GROUP BY page_alerts.alert_id
),

counts AS (
    SELECT
        alerts.rule,
        alerts.rule_version,
        COUNT(*) AS paged,
        SUM(paged.confirmed) AS confirmed,
        SUM(CASE WHEN paged.confirmed = 0 THEN paged.false_positive ELSE 0 END) AS false_positives
    FROM paged
    INNER JOIN marts.alerts
        ON paged.alert_id = alerts.alert_id
    GROUP BY alerts.rule, alerts.rule_version
)

SELECT
    counts.rule,
    counts.rule_version,
    counts.paged,
    counts.confirmed + counts.false_positives AS judged,
    counts.confirmed,
    counts.false_positives,
    CAST(
        CAST(counts.confirmed AS DECIMAL(19, 4))
        / NULLIF(counts.confirmed + counts.false_positives, 0) AS DECIMAL(19, 4)
    ) AS confirmed_share,
    freshness.lag_seconds
FROM counts
CROSS JOIN marts.freshness;
