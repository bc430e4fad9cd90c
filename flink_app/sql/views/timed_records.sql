-- First records with a row time that is late for no window: one that came behind the watermark
-- counts as of then, so that none is dropped.
-- reads: first_records
-- boundary: counted_at
SELECT
    ${late_for_nothing} AS counted_at,
    CAST(rt AS TIMESTAMP_LTZ(3)) AS happened_at,
    payment_id,
    account_id,
    user_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined,
    refunded
FROM first_records
