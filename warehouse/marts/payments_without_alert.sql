-- Question: which stolen payments have no alert?
--
-- Empty when all is well. A payment appears here for the seconds until its window has closed and
-- its alert is loaded; one that stays is a detection that is owed.

CREATE OR REPLACE VIEW marts.payments_without_alert AS
SELECT
    stolen_payments.payment_id,
    stolen_payments.card_token,
    stolen_payments.card_last4,
    stolen_payments.amount,
    stolen_payments.currency,
    stolen_payments.event_date_origin,
    stolen_payments.reported_at
FROM marts.stolen_payments
LEFT JOIN staging.payment_alert
    ON stolen_payments.payment_id = payment_alert.payment_id
WHERE payment_alert.payment_id IS NULL;
