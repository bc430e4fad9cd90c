-- Question: which payments were made with a card that was stolen at that moment?
--
-- One row per payment_id, judged here by the registry alone, independent of the detection:
-- the newest status with effective_from at or before the payment says STOLEN. Copies of a payment
-- share its payment_id; the first to be loaded counts. It knows statuses that the job learned only
-- later, so it can name more payments than the job could.

CREATE OR REPLACE VIEW marts.stolen_payments AS
WITH

payment_copies AS (
    SELECT
        event_id,
        payment_id,
        card_token,
        card_last4,
        amount,
        currency,
        event_date_origin,
        event_dw_regdate,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id
            ORDER BY event_dw_regdate, event_date_origin, event_id
        ) AS copy_number
    FROM staging.payment_event
),

judged AS (
    SELECT
        payments.payment_id,
        payments.card_token,
        payments.card_last4,
        payments.amount,
        payments.currency,
        payments.event_date_origin,
        statuses.status,
        statuses.effective_from AS reported_at,
        ROW_NUMBER() OVER (
            PARTITION BY payments.payment_id
            ORDER BY
                statuses.effective_from DESC,
                statuses.event_date_origin DESC,
                statuses.event_id DESC
        ) AS status_number
    FROM payment_copies AS payments
    INNER JOIN staging.card_status AS statuses
        ON
            payments.card_token = statuses.card_token
            AND payments.event_date_origin >= statuses.effective_from
    WHERE payments.copy_number = 1
)

SELECT
    payment_id,
    card_token,
    card_last4,
    amount,
    currency,
    event_date_origin,
    reported_at
FROM judged
WHERE status_number = 1 AND status = 'STOLEN';
