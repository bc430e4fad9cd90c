-- Question: which single payments were above the limit of their currency, and when was somebody
-- paged?
--
-- One row per alert of the rule large_amount. observed and threshold are in the currency's units;
-- paged_at is the first sent page that carries the alert, null while there is none.
-- What a version in shadow counted is not here (marts.rule_versions).

CREATE OR REPLACE VIEW marts.large_amounts AS
SELECT
    alerts.alert_id,
    JSON_EXTRACT_ARRAY_ELEMENT_TEXT(alerts.payment_ids, 0) AS payment_id,
    alerts.entity_kind,
    alerts.entity_id,
    alerts.card_last4,
    alerts.currency,
    alerts.observed,
    alerts.threshold,
    alerts.severity,
    alerts.event_date_origin AS origin_at,
    alerts.detected_at,
    first_pages.paged_at,
    freshness.lag_seconds
FROM typed.rule_alert AS alerts
LEFT JOIN marts.first_pages
    ON alerts.alert_id = first_pages.alert_id
CROSS JOIN marts.freshness
WHERE alerts.rule = 'large_amount' AND COALESCE(alerts.paging, 'on') <> 'shadow';
