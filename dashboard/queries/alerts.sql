-- Question: which alerts were made since a moment, the newest first?
--
-- entity is a card's last four digits or the beginning of an id; a filter that is null is none.

SELECT
    alerts.detected_at,
    alerts.rule,
    alerts.severity,
    alerts.entity_kind,
    alerts.card_token,
    alerts.card_last4,
    alerts.account_id,
    alerts.user_id,
    alerts.merchant_id,
    alerts.country,
    alerts.observed,
    alerts.currency,
    alerts.why,
    alerts.paged_at
FROM marts.alerts
WHERE
    alerts.detected_at >= :since
    AND (CAST(:rule AS VARCHAR) IS NULL OR alerts.rule = :rule)
    AND (CAST(:severity AS VARCHAR) IS NULL OR COALESCE(alerts.severity, 'not stated') = :severity)
    AND (
        CAST(:entity AS VARCHAR) IS NULL
        OR alerts.card_last4 = :entity
        OR alerts.card_token LIKE :entity || '%'
        OR alerts.account_id LIKE :entity || '%'
        OR alerts.user_id LIKE :entity || '%'
        OR alerts.merchant_id LIKE :entity || '%'
    )
ORDER BY alerts.detected_at DESC, alerts.alert_id ASC
LIMIT :rows;
