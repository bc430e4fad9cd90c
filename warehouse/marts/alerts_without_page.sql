-- Question: which alerts are in no page, neither sent nor recorded as expired?
--
-- Empty when all is well. An alert appears here while it waits for its page; one that stays was
-- never told to anybody.

CREATE OR REPLACE VIEW marts.alerts_without_page AS
SELECT
    payment_alert.alert_id,
    payment_alert.payment_id,
    payment_alert.card_last4,
    payment_alert.event_date_origin,
    payment_alert.detected_at
FROM staging.payment_alert
LEFT JOIN marts.page_alerts
    ON payment_alert.alert_id = page_alerts.alert_id
WHERE page_alerts.alert_id IS NULL;
