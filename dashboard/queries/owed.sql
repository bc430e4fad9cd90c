-- Question: which alerts are in no page, the oldest first?

SELECT
    alerts_without_page.detected_at,
    alerts_without_page.rule,
    alerts_without_page.card_last4,
    alerts_without_page.payment_id
FROM marts.alerts_without_page
ORDER BY alerts_without_page.detected_at ASC, alerts_without_page.alert_id ASC
LIMIT :rows;
