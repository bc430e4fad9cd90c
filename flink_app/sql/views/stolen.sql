-- Payments on a card that is stolen at the payment's time, each payment once: what the detections
-- of stolen cards read.
-- reads: judged_payments
-- boundary: rt
--
-- A payment is its payment_id and its card. Of its records the first that was judged stolen counts;
-- they come here in the order of their shard, so processing time is enough to take the first; by
-- event time Flink would drop what it holds for late.
SELECT
    rt,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount,
    ${amount_text(amount)} AS amount_text,
    currency,
    minor_unit,
    merchant_id,
    country,
    city,
    status,
    effective_from
FROM (
    SELECT
        rt,
        payment_id,
        account_id,
        user_id,
        card_token,
        card_bin,
        card_last4,
        ${readable_amount} AS amount,
        currency,
        ${minor_unit} AS minor_unit,
        merchant_id,
        country,
        city,
        status,
        effective_from,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token ORDER BY seen_at
        ) AS record_number
    FROM judged_payments
)
WHERE record_number = 1
