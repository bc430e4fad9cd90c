-- Question: when did each canary come to the warehouse, and how long did each part of its way take?
--
-- One row per canary whose alert is staged: a payment on nobody's card that is sent every minute to
-- see that all works, and is in no other mart. Durations are milliseconds from the payment.
-- payment_staged_at is null where the payment itself is not staged.

CREATE OR REPLACE VIEW marts.canaries AS
SELECT
    alerts.payment_id,
    alerts.origin_at,
    alerts.detected_at,
    payments.staged_at AS payment_staged_at,
    alerts.staged_at,
    DATEDIFF(MILLISECOND, alerts.origin_at, alerts.detected_at) AS origin_to_detected_ms,
    DATEDIFF(MILLISECOND, alerts.origin_at, alerts.staged_at) AS origin_to_staged_ms,
    freshness.lag_seconds
FROM facts.canaries AS alerts
LEFT JOIN facts.canaries AS payments
    ON
        alerts.payment_id = payments.payment_id
        AND payments.event_type = 'PAYMENT_EVENT'
CROSS JOIN marts.freshness
WHERE alerts.event_type = 'PAYMENT_ALERT';
