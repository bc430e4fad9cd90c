-- Question: which alerts name one card, account or merchant, the newest first?

SELECT
    alerts.origin_at AS happened_at,
    alerts.detected_at,
    alerts.alert_id,
    alerts.rule,
    alerts.severity,
    alerts.observed,
    alerts.currency,
    alerts.payment_id,
    alerts.why
FROM marts.alerts
WHERE alerts.${entity} = :id AND alerts.detected_at >= :since
ORDER BY alerts.detected_at DESC, alerts.alert_id ASC
LIMIT :rows;
