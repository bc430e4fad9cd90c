-- Attempts to pay, each once: of a payment its first record that was declined and its first that
-- was not; a refund is no attempt. What the rules about counts and sums of payments read.
-- reads: first_records
SELECT
    rt,
    payment_id,
    account_id,
    user_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined
FROM first_records
WHERE NOT refunded
