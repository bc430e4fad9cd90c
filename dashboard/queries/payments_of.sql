-- Question: which payments did one card, account or merchant make or take, the newest first?
--
-- ${entity} is card_token, account_id or merchant_id, which indexes find. One row per record: a
-- payment that was authorized and then captured is two.

SELECT
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
LIMIT :rows;
