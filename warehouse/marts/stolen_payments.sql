-- Question: which payments were made with a card that was stolen at that moment, and what did each
-- cost in the end?
--
-- One row per payment, which is (payment_id, card_token), judged by the registry alone: all
-- statuses of its card, whenever they came. So it names payments that the job could not. status
-- and cost are of the payment's newest record: declined costs nothing, another what was captured,
-- or else authorized, without what was refunded.

CREATE OR REPLACE VIEW marts.stolen_payments AS
SELECT
    stolen_payments.payment_id,
    stolen_payments.card_token,
    stolen_payments.card_last4,
    stolen_payments.amount,
    stolen_payments.currency,
    stolen_payments.event_date_origin,
    stolen_payments.reported_at,
    stolen_payments.status,
    stolen_payments.cost,
    freshness.lag_seconds
FROM facts.stolen_payments
CROSS JOIN marts.freshness;
