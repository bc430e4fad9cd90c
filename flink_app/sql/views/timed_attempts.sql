-- Attempts with a row time that is late for no window: one that came behind the watermark counts as
-- of then, so that none is dropped.
-- reads: attempts
-- boundary: counted_at
SELECT
    CAST(
        GREATEST(
            rt, COALESCE(CURRENT_WATERMARK(rt) + INTERVAL '0.001' SECOND, rt)
        ) AS TIMESTAMP_LTZ(3)
    ) AS counted_at,
    CAST(rt AS TIMESTAMP_LTZ(3)) AS happened_at,
    payment_id,
    account_id,
    user_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined
FROM attempts
