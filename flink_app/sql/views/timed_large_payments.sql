-- Payments that may be large, with a row time that is late for nothing, as timed_attempts has it:
-- one that came behind the watermark is held against the rules of then.
-- reads: large_payments
-- boundary: counted_at
SELECT
    ${late_for_nothing} AS counted_at,
    CAST(rt AS TIMESTAMP_LTZ(3)) AS happened_at,
    payment_id,
    card_token,
    card_last4,
    currency,
    amount,
    'large_amount|' || ${bucket(card_token)} AS rule_bucket
FROM large_payments
