-- Question: which stolen payments have no alert, and who owes it?
--
-- By the definition of a stolen payment, from the first row on. owed_by `stream`: what had come
-- before the payment was enough to alert; it appears here for the seconds until its window has
-- closed and its alert is loaded, and one that stays is a detection that is owed. owed_by `audit`:
-- the payment stood before its card's report, or after newer statuses of its card, so that the
-- job could not know; such a one is left to the audit. owed_by `quarantine`: it breaks the contract
-- and nobody judged it (marts.quarantined_events, which says why); what could not be read of it is
-- null, and event_date_origin is then its arrival on the stream.

CREATE OR REPLACE VIEW marts.payments_without_alert AS
SELECT
    stolen_payments.payment_id,
    stolen_payments.card_token,
    stolen_payments.card_last4,
    stolen_payments.amount,
    stolen_payments.currency,
    stolen_payments.event_date_origin,
    stolen_payments.reported_at,
    stolen_payments.status,
    stolen_payments.owed_by,
    freshness.lag_seconds
FROM facts.stolen_payments
LEFT JOIN typed.payment_alert
    ON
        stolen_payments.payment_id = payment_alert.payment_id
        AND stolen_payments.card_token = payment_alert.card_token
        AND payment_alert.rule = 'stolen_card'
CROSS JOIN marts.freshness
WHERE payment_alert.payment_id IS NULL
UNION ALL
SELECT
    quarantined_events.payment_id,
    quarantined_events.card_token,
    CAST(NULL AS VARCHAR(64)) AS card_last4,
    CAST(NULL AS DECIMAL(19, 4)) AS amount,
    CAST(NULL AS VARCHAR(64)) AS currency,
    MIN(COALESCE(quarantined_events.happened_at, quarantined_events.arrived_at))
        AS event_date_origin,
    MAX(quarantined_events.reported_at) AS reported_at,
    CAST(NULL AS VARCHAR(64)) AS status,
    'quarantine' AS owed_by,
    MIN(quarantined_events.lag_seconds) AS lag_seconds
FROM marts.quarantined_events
WHERE quarantined_events.kind = 'PAYMENT' AND quarantined_events.outcome = 'open'
GROUP BY
    quarantined_events.payment_id,
    quarantined_events.card_token,
    CASE WHEN quarantined_events.payment_id IS NULL THEN quarantined_events.event_id END;
