-- Question: which alerts, of whichever rule, are in no page, neither sent nor recorded as expired?
--
-- What somebody's act suppressed is recorded, too (marts.suppressed_alerts). Empty when all is
-- well. An alert appears here while it waits for its page, for a follow-up up to six minutes at the
-- defaults; one that stays was never told to anybody. One of a rule whose paging is off, or that
-- only counts (in shadow), is in no page on purpose, and not here. payment_id is the first of a
-- rule's payments.

CREATE OR REPLACE VIEW marts.alerts_without_page AS
SELECT
    alerts.alert_id,
    alerts.rule,
    alerts.payment_id,
    alerts.card_last4,
    alerts.event_date_origin,
    alerts.detected_at,
    freshness.lag_seconds
FROM (
    SELECT
        alert_id,
        rule,
        payment_id,
        card_last4,
        event_date_origin,
        detected_at
    FROM typed.payment_alert
    UNION ALL
    SELECT
        alert_id,
        rule,
        JSON_EXTRACT_ARRAY_ELEMENT_TEXT(payment_ids, 0) AS payment_id,
        card_last4,
        event_date_origin,
        detected_at
    FROM typed.rule_alert
    WHERE COALESCE(paging, 'on') = 'on'
) AS alerts
LEFT JOIN facts.page_alerts
    ON
        alerts.alert_id = page_alerts.alert_id
        AND COALESCE(page_alerts.kind, 'FIRST') NOT IN ('REMINDER', 'ESCALATION', 'RESOLVED')
CROSS JOIN marts.freshness
WHERE page_alerts.alert_id IS NULL;
