-- Question: which payments did one card, account or merchant make or take, the newest first, and
-- how risky is each?
--
-- ${entity} is card_token, account_id or merchant_id, which indexes find. One row per record: a
-- payment that was authorized and then captured is two. Its score is that of its first record, and
-- null while there is none.

SELECT
    payments.happened_at,
    payments.payment_id,
    payments.status,
    payments.amount,
    payments.currency,
    payments.card_token,
    payments.card_last4,
    payments.account_id,
    payments.merchant_id,
    payments.city,
    payments.country,
    payments.entry_mode,
    attributed.score AS risk_score,
    attributed.factors
FROM (
    SELECT
        payment_event.event_id,
        payment_event.event_date_origin AS happened_at,
        payment_event.payment_id,
        payment_event.status,
        payment_event.amount,
        payment_event.currency,
        payment_event.card_token,
        payment_event.card_last4,
        payment_event.account_id,
        payment_event.merchant_id,
        payment_event.city,
        payment_event.country,
        payment_event.entry_mode
    FROM typed.payment_event
    WHERE
        payment_event.${entity} = :id
        AND payment_event.event_date_origin >= :since
    ORDER BY payment_event.event_date_origin DESC, payment_event.event_id ASC
    LIMIT :rows
) AS payments
LEFT JOIN typed.payment_attributed AS attributed
    ON
        payments.card_token = attributed.card_token
        AND payments.payment_id = attributed.payment_id
ORDER BY payments.happened_at DESC, payments.event_id ASC;
