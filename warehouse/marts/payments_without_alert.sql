-- Question: which stolen payments have no alert, and who owes it?
--
-- By the definition of a stolen payment, from the first row on. owed_by `stream`: what had come
-- before the payment was enough to alert; it appears here for the seconds until its window has
-- closed and its alert is loaded, and one that stays is a detection that is owed. owed_by `audit`:
-- the payment stood before its card's report, or after newer statuses of its card, so that the
-- job could not know; such a one is left to the audit.

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
WHERE payment_alert.payment_id IS NULL;
