-- Question: which versions of the rules were published, which are in use, and what did each find?
--
-- One row per rule and version that was published or found something; the version that came with
-- the job was never published. in_use is `in force`, `in shadow` for one that counts beside it, or
-- null. alerts are all that a version found, paged or not.

CREATE OR REPLACE VIEW marts.rule_versions AS
WITH

published AS (
    SELECT
        rule,
        rule_version,
        event_date_origin AS published_at,
        note,
        settings,
        JSON_EXTRACT_PATH_TEXT(settings, 'state') AS state,
        JSON_EXTRACT_PATH_TEXT(settings, 'paging') AS paging,
        JSON_EXTRACT_PATH_TEXT(settings, 'severity') AS severity,
        ROW_NUMBER() OVER (
            PARTITION BY rule, JSON_EXTRACT_PATH_TEXT(settings, 'paging') = 'shadow'
            ORDER BY event_date_origin DESC, rule_version DESC
        ) AS age
    FROM typed.rule
),

in_force AS (
    SELECT
        rule,
        published_at
    FROM published
    WHERE paging <> 'shadow' AND age = 1
),

found AS (
    SELECT
        rule,
        rule_version,
        COUNT(*) AS alerts,
        COUNT(DISTINCT entity_id) AS entities,
        MAX(event_date_origin) AS last_alert_at
    FROM typed.rule_alert
    GROUP BY rule, rule_version
)

SELECT
    COALESCE(published.rule, found.rule) AS rule,
    COALESCE(published.rule_version, found.rule_version) AS rule_version,
    published.published_at,
    CASE
        WHEN published.age = 1 AND published.paging <> 'shadow' THEN 'in force'
        WHEN
            published.age = 1
            AND (in_force.published_at IS NULL OR in_force.published_at < published.published_at)
            THEN 'in shadow'
    END AS in_use,
    published.state,
    published.paging,
    published.severity,
    published.settings,
    published.note,
    COALESCE(found.alerts, 0) AS alerts,
    COALESCE(found.entities, 0) AS entities,
    found.last_alert_at,
    freshness.lag_seconds
FROM published
LEFT JOIN in_force
    ON published.rule = in_force.rule
FULL JOIN found
    ON published.rule = found.rule AND published.rule_version = found.rule_version
CROSS JOIN marts.freshness;
