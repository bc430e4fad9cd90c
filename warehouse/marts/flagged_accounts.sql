-- Question: which accounts spent more within ten minutes than they may, how much, and when was
-- somebody paged?
--
-- One row per alert of the rule spend_over_limit: a breach, or its next step. observed and
-- threshold are in the currency's units; observed_of_threshold is how many times the limit it was;
-- paged_at is the first sent page that carries the alert, null while there is none.
-- What a version in shadow counted is not here (marts.rule_versions).

CREATE OR REPLACE VIEW marts.flagged_accounts AS
SELECT
    alerts.alert_id,
    alerts.entity_id AS account_id,
    alerts.currency,
    alerts.observed,
    alerts.threshold,
    CAST(alerts.observed / alerts.threshold AS DECIMAL(19, 2)) AS observed_of_threshold,
    alerts.payment_count,
    JSON_EXTRACT_ARRAY_ELEMENT_TEXT(alerts.payment_ids, 0) AS payment_id,
    alerts.window_start,
    alerts.window_end,
    alerts.severity,
    alerts.event_date_origin AS origin_at,
    alerts.detected_at,
    first_pages.paged_at,
    freshness.lag_seconds
FROM typed.rule_alert AS alerts
LEFT JOIN marts.first_pages
    ON alerts.alert_id = first_pages.alert_id
CROSS JOIN marts.freshness
WHERE alerts.rule = 'spend_over_limit' AND COALESCE(alerts.paging, 'on') <> 'shadow';
