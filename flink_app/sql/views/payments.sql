-- Payments that can be told apart: without a payment_id there is no alert_id.
SELECT
    rt,
    judged_at,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city
FROM arrivals
WHERE `type` = 'PAYMENT_EVENT' AND payment_id IS NOT NULL
