-- Attempts with a row time that is late for no window.
-- reads: timed_records
SELECT
    counted_at,
    happened_at,
    payment_id,
    account_id,
    user_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined
FROM timed_records
WHERE NOT refunded
