-- Question: which alerts was nobody paged of, because somebody had acted, and whose act was it?
--
-- One row per alert. acted_by is the name that the person gave; acted_page_id is the page that it
-- was about. Both are null while the act itself is not loaded.

CREATE OR REPLACE VIEW marts.suppressed_alerts AS
SELECT
    page_alerts.alert_id,
    alerts.rule,
    alerts.entity_kind,
    alerts.card_last4,
    alerts.account_id,
    alerts.user_id,
    alerts.merchant_id,
    alerts.observed,
    alerts.currency,
    alerts.payment_id,
    alerts.origin_at,
    page_alerts.happened_at AS suppressed_at,
    page_act.act,
    page_act.by AS acted_by,
    page_act.event_date_origin AS acted_at,
    page_act.page_id AS acted_page_id,
    freshness.lag_seconds
FROM facts.page_alerts
INNER JOIN typed.page_event
    ON page_alerts.event_id = page_event.event_id
LEFT JOIN typed.page_act
    ON page_event.act_id = page_act.act_id
LEFT JOIN marts.alerts
    ON page_alerts.alert_id = alerts.alert_id
CROSS JOIN marts.freshness
WHERE page_event.reason = 'suppressed';
