-- Attempts to pay, each once: of a payment its first record that was declined and its first that
-- was not; a refund is no attempt. What the rules about counts and sums of payments read.
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
